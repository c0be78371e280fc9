import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { caughtUp, registryStatus, startDaemon } from './daemon.ts'
import type { Daemon } from './daemon.ts'
import { Kills } from './kills.ts'
import { packageFolder } from './package-folder.ts'
import { tempDir } from './temp-dir.ts'

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What a client was told is published: `name@version` to content root. */
type Acknowledged = Map<string, string>

interface Rounds {
  readonly rounds: number
  readonly seed: number
}

/**
 * Kills a daemon at random moments while a client publishes, and looks after each restart at what a person would look at:
 * everything that was acknowledged is there, everything that is visible installs from this node alone, nothing is damaged.
 */
export async function crashWhilePublishing({ rounds, seed }: Rounds): Promise<void> {
  const random = randomFrom(seed)
  const home = await tempDir('crash')
  const acknowledged: Acknowledged = new Map()
  let daemon = await startDaemon({ home })
  const { id: registry } = await daemon.client.call('registryCreate', { name: 'crash' })
  for (let round = 0; round < rounds; round++) {
    await publishUntilKilled(daemon, { registry, round, random, acknowledged })
    daemon = await startDaemon({ home })
    await expectPrompt(daemon, round)
    await lookOver(daemon, { registry, round, left: rounds - 1 - round, acknowledged })
  }
  expect(acknowledged.size).toBeGreaterThanOrEqual(Math.floor(rounds / 2))
  await sameFromScratch(daemon, registry)
  await daemon.stop()
}

/**
 * Ready again in 3 s; on a machine too busy for that, with not much more work than a node has that recovers nothing, and
 * without waiting for something much longer than that one does.
 */
async function expectPrompt({ startMs, startCpuMs }: Daemon, round: number): Promise<void> {
  if (startMs < 3_000) return
  const fresh = await startDaemon()
  await fresh.stop()
  expect(startCpuMs, `round ${round}: listening again`).toBeLessThan(fresh.startCpuMs * 2 + 1_000)
  expect(startMs, `round ${round}: listening again`).toBeLessThan(fresh.startMs * 2 + 10_000)
}

interface Round {
  readonly registry: string
  readonly round: number
  readonly random: () => number
  readonly acknowledged: Acknowledged
}

async function publishUntilKilled(daemon: Daemon, { registry, round, random, acknowledged }: Round): Promise<void> {
  const parent = await tempDir('crash-packages')
  // Two kinds of moments: at random in the middle of whatever goes on, and right at an acknowledgement, when a node that
  // promised too early has not yet kept its word.
  const last = random() < 0.5 ? 1 + Math.floor(random() * 6) : Number.POSITIVE_INFINITY
  // In every other round from the first acknowledgement on, however long a machine takes for that.
  const begun = Promise.withResolvers<void>()
  if (round % 2 === 0) begun.resolve()
  const kill = Number.isFinite(last)
    ? undefined
    : begun.promise.then(() => delay(random() * 400)).then(() => daemon.stop('SIGKILL'))
  try {
    for (let n = 0; ; n++) {
      // Some packages get a second version, so that kills fall between a claim and a release and between two releases.
      const name = random() < 0.3 ? 'often' : `${prefixOf(round)}${n}`
      const version = name === 'often' ? `${round}.${n}.0` : '1.0.0'
      const files = { 'data.bin': randomBytes(Math.floor(random() * 40_000)) }
      const folder = await packageFolder({ name, version, files }, parent)
      const { cid } = await daemon.client.call('publish', { folder, registry })
      acknowledged.set(`${name}@${version}`, cid)
      begun.resolve()
      if (n + 1 === last) return void (await daemon.stop('SIGKILL'))
    }
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'DAEMON_UNREACHABLE') throw error
  }
  await kill
}

/**
 * No acknowledged publish is lost, and nothing is half visible. Looks at what this round wrote, every fifth round at every
 * fact, row and block of the node, and every twentieth at what is shown of all rounds, so that a hundred rounds do not cost
 * a hundred times a hundred.
 */
async function lookOver(
  { client }: Daemon,
  { registry, round, left, acknowledged }: Omit<Round, 'random'> & { readonly left: number }
): Promise<void> {
  const findings = await client.call('doctor', { deep: left % 5 === 0 })
  expect(findings.map(({ check, ok, text }) => (ok ? '' : `${check}: ${text}`)).join('')).toBe('')
  const rounds = left % 20 === 0 ? Array.from({ length: round + 1 }, (_, i) => i) : [round]
  const visible = await visibleVersions(client, registry, rounds)
  const expected = [...acknowledged].filter(([name]) => rounds.some(each => isOf(each, name)))
  expect(Object.fromEntries(visible)).toMatchObject(Object.fromEntries(expected))
  // Bytes of a release that was never written are pinned for nobody.
  if (left % 20 === 0) await expect.poll(() => pinnedIn(client)).toEqual(new Set(visible.values()))
  const project = await tempDir('crash-project')
  for (const [reference, cid] of visible) {
    if (!isOf(round, reference)) continue
    const exact = reference.replace('@', '@=')
    const { installed } = await client.call('install', { references: [exact], project, force: true })
    expect(installed).toMatchObject([{ cid, bytes: 0, from: [] }])
  }
}

async function pinnedIn(client: Daemon['client']): Promise<ReadonlySet<string>> {
  const pins = await client.call('storePins', {})
  return new Set(pins.flatMap(({ type, what }) => (type === 'published' ? [what] : [])))
}

const prefixOf = (round: number): string => `r${String(round).padStart(3, '0')}-`

function isOf(round: number, reference: string): boolean {
  return reference.startsWith(prefixOf(round)) || reference.startsWith(`often@${round}.`)
}

/** Everything that the node shows of some rounds, as `name@version` to content root. */
async function visibleVersions(
  client: Daemon['client'],
  registry: string,
  rounds: readonly number[]
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  for (const query of ['often', ...rounds.map(prefixOf)]) {
    const limit = LIMITS.search.results
    const results = await client.call('search', { query, registry, limit })
    if (results.length === limit) throw new Error(`the round ${query} has more packages than a search shows`)
    for (const { name } of results) {
      const { versions } = await client.call('show', { reference: name })
      for (const { version, contents } of versions) {
        found.set(`${name.replace(/^ggen\//, '')}@${version}`, contents[0]?.cid ?? '')
      }
    }
  }
  return found
}

/** A node that never crashed and gets all facts at once folds them to the same view. */
async function sameFromScratch(daemon: Daemon, registry: string): Promise<void> {
  const fresh = await startDaemon()
  await fresh.client.call('registryAdd', { id: registry, peer: daemon.address, isDefault: true })
  await caughtUp(daemon, fresh, registry)
  const [ours, theirs] = await Promise.all([daemon, fresh].map(node => registryStatus(node, registry)))
  expect(theirs).toMatchObject({ facts: ours?.facts, packages: ours?.packages, releases: ours?.releases })
  expect(theirs?.digest).toBe(ours?.digest)
  await fresh.stop()
}

/** Kills a daemon while it installs: what is in the project is whole or not there, and the next install clears up. */
export async function crashWhileInstalling({ rounds, seed }: Rounds): Promise<void> {
  const random = randomFrom(seed)
  const home = await tempDir('crash')
  const files = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`src/file-${i}.bin`, randomBytes(8_000)]))
  let daemon = await startDaemon({ home })
  await daemon.client.call('registryCreate', { name: 'crash' })
  await daemon.client.call('publish', { folder: await packageFolder({ name: 'large', files }) })
  const project = await tempDir('crash-project')
  const packages = join(project, '.ggen', 'packages')
  const params = { references: ['large'], project, force: true }
  const started = performance.now()
  await daemon.client.call('install', { ...params, project: await tempDir('crash-project') })
  const kills = new Kills(random, performance.now() - started)
  for (let round = 0; round < rounds || kills.interrupted === 0; round++) {
    const { client } = daemon
    await kills.during(daemon, () => client.call('install', params))
    if (existsSync(join(packages, 'large'))) expect(await countFiles(join(packages, 'large'))).toBe(152)
    daemon = await startDaemon({ home })
    // Every other round starts from nothing, so that both a first install and a replacement are hit.
    const { installed } = await daemon.client.call('install', params)
    expect(installed).toMatchObject([{ name: 'large' }])
    expect(await readdir(packages)).toEqual(['large'])
    expect(await countFiles(join(packages, 'large'))).toBe(152)
    if (round % 2 === 0) await rm(packages, { recursive: true })
  }
  await daemon.stop()
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).length
}
