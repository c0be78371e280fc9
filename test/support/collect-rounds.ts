import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { randomFrom } from './crash-rounds.ts'
import { startDaemon } from './daemon.ts'
import type { Daemon } from './daemon.ts'
import { Kills } from './kills.ts'
import { packageFolder } from './package-folder.ts'
import { tempDir } from './temp-dir.ts'

const SHARED = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`shared/${i}.bin`, randomBytes(2_000)]))

/**
 * Kills a daemon at random moments while it collects garbage, and looks after each restart at what a person would look at:
 * what is pinned is whole and installs from this node alone, what is recorded as being here is, and the next collection
 * takes away all the rest.
 */
export async function crashWhileCollecting({ rounds, seed }: { rounds: number; seed: number }): Promise<void> {
  const random = randomFrom(seed)
  const home = await tempDir('crash')
  let daemon = await startDaemon({ home })
  await daemon.client.call('registryCreate', { name: 'crash' })
  const pinned = await publish(daemon, 'pinned', 1)
  const { bytes: pinnedBytes, blocks } = await usage(daemon)
  let kills: Kills | undefined
  for (let round = 0; round < rounds || (rounds > 3 && kills?.interrupted === 0); round++) {
    for (let n = 0; n < 2; n++) {
      const cid = await publish(daemon, `loose${n}`, round)
      await daemon.client.call('storeUnpin', { what: cid })
    }
    const { client } = daemon
    if (kills === undefined) {
      const started = performance.now()
      await client.call('storeGc', { all: true, dryRun: true })
      // Deleting takes about as long as finding out what to delete.
      kills = new Kills(random, 2 * (performance.now() - started))
    }
    await kills.during(daemon, () => client.call('storeGc', { all: true, dryRun: false }))
    daemon = await startDaemon({ home })
    await lookOver(daemon, pinned)
    await daemon.client.call('storeGc', { all: true, dryRun: false })
    expect(await usage(daemon)).toMatchObject({ bytes: pinnedBytes, blocks, roots: 1 })
  }
  await daemon.stop()
}

async function publish(daemon: Daemon, name: string, version: number): Promise<string> {
  const own = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`own/${i}.bin`, randomBytes(500)]))
  const folder = await packageFolder({ name, version: `1.${version}.0`, files: { ...SHARED, ...own } })
  return (await daemon.client.call('publish', { folder })).cid
}

async function usage({ client }: Daemon) {
  const [space] = (await client.call('storeStat', {})).spaces
  if (space === undefined) throw new Error('a node has a public space')
  return { bytes: space.bytes, blocks: space.blocks, roots: space.roots }
}

async function lookOver({ client }: Daemon, pinned: string): Promise<void> {
  const findings = await client.call('doctor', { deep: true })
  expect(findings.map(({ check, ok, text }) => (ok ? '' : `${check}: ${text}`)).join('')).toBe('')
  const { spaces } = await client.call('storeVerify', {})
  expect(spaces).toMatchObject([{ damaged: 0, broken: 0 }])
  const project = await tempDir('crash-project')
  const { installed } = await client.call('install', { references: ['pinned'], project })
  expect(installed).toMatchObject([{ cid: pinned, bytes: 0 }])
}
