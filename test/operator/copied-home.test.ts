import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { caughtUp, registryStatus, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000

// One original, its copy made with `cp -r`, chain and all, and a third node that both talk to: a copy has the peer id
// of the original, so the two of them never talk to each other.
let third: Daemon
let original: Daemon
let copyHome: string
let registry: string

const publish = async (node: Daemon, name: string, version: string) =>
  node.client.call('publish', { folder: await packageFolder({ name, version }), registry })
const chainOf = (home: string) => readFile(join(home, 'chain'), 'utf8')
const marksOf = async (node: Daemon, name: string) =>
  (await node.client.call('show', { reference: name })).versions.map(({ version, state, contents }) => [
    version,
    state,
    ...contents.flatMap(({ marks }) => marks)
  ])

/** Starts a node that talks to the third one, and returns when it holds what that one holds. */
async function joined(home: string): Promise<Daemon> {
  const node = await startDaemon({ home })
  await node.client.call('connect', { address: third.address })
  await caughtUp(third, node, registry)
  return node
}

beforeAll(async () => {
  original = await startDaemon()
  registry = (await original.client.call('registryCreate', { name: 'office' })).id
  await publish(original, 'alpha', '1.0.0')
  await original.stop()
  copyHome = join(await tempDir('copy'), 'home')
  await cp(original.home, copyHome, { recursive: true })
  original = await startDaemon({ home: original.home })
  third = await startDaemon()
  await third.client.call('registryAdd', { id: registry, peer: original.address, isDefault: true })
  await caughtUp(original, third, registry)
}, SLOW)

describe('a copy of a data directory', () => {
  test(
    'that hears of its original before it publishes begins a chain of its own: no fork',
    async () => {
      await publish(original, 'alpha', '1.1.0')
      await caughtUp(original, third, registry)
      await original.stop()
      expect(await chainOf(copyHome)).toBe(await chainOf(original.home))

      const copy = await joined(copyHome)
      await publish(copy, 'alpha', '1.2.0')
      await caughtUp(copy, third, registry)
      expect(await chainOf(copyHome)).not.toBe(await chainOf(original.home))
      expect(await marksOf(third, 'alpha')).toEqual([
        ['1.2.0', 'ok'],
        ['1.1.0', 'ok'],
        ['1.0.0', 'ok']
      ])
      await copy.stop()
    },
    SLOW
  )

  test(
    'whose store was thrown away begins a chain of its own as well',
    async () => {
      const before = await chainOf(copyHome)
      await rm(join(copyHome, 'store'), { recursive: true })
      const copy = await startDaemon({ home: copyHome })
      expect(await chainOf(copyHome)).not.toBe(before)
      await copy.stop()
      const again = await chainOf(copyHome)
      await (await startDaemon({ home: copyHome })).stop()
      expect(await chainOf(copyHome)).toBe(again)
    },
    SLOW
  )

  // What can't be known: a copy that has heard of nobody signs the position that its original signs too.
  test(
    'that publishes before it hears of its original forks: both releases stay, marked, and a new chain begins',
    async () => {
      const blind = join(await tempDir('copy'), 'home')
      await cp(original.home, blind, { recursive: true })
      const chain = await chainOf(blind)
      // Without any network: a running copy finds the third node by itself.
      const folder = await packageFolder({ name: 'alpha', version: '2.1.0' })
      expect(await runCli(['publish', folder], { home: blind })).toMatchObject({ code: 0 })

      original = await joined(original.home)
      await publish(original, 'alpha', '2.0.0')
      await caughtUp(original, third, registry)
      await original.stop()

      const back = await startDaemon({ home: blind })
      await back.client.call('connect', { address: third.address })
      // 1.0.0 with its claim and genesis, 1.1.0, 1.2.0, and the two that share a position.
      for (const node of [back, third]) {
        await node.client.call('waitFor', { registry, facts: 7, peers: 0, kept: false, timeoutMs: HEARD_MS })
      }
      expect((await registryStatus(back, registry)).digest).toBe((await registryStatus(third, registry)).digest)
      expect(await marksOf(third, 'alpha')).toEqual([
        ['2.1.0', 'ok', 'forked-author'],
        ['2.0.0', 'ok', 'forked-author'],
        ['1.2.0', 'ok', 'forked-author'],
        ['1.1.0', 'ok', 'forked-author'],
        ['1.0.0', 'ok', 'forked-author']
      ])
      await publish(back, 'beta', '1.0.0')
      expect(await chainOf(blind)).not.toBe(chain)
      await Promise.all([back.stop(), third.stop()])
    },
    SLOW
  )
})
