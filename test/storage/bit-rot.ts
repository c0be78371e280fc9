import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Scrub } from '../../node/scrub.ts'
import { Gate } from '../../node/services/admit.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import { toHex } from '../../protocol/bytes.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { Loss } from '../../storage/fact-store.ts'
import { HeadFiles } from '../../storage/head-files.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { FactWriter, person } from '../support/facts.ts'
import { testClock } from '../support/test-clock.ts'

const [root, ann] = [person('root'), person('ann')]

/** A registry with some hundred facts: packages, releases of two authors, a yank, facts set aside. */
function someFacts(): FactWriter {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  for (let index = 0; index < 48; index++) {
    const name = `package-${index}`
    const cited = facts.cite(facts.claim(name))
    facts.release(name, '1.0.0', cited)
    facts.release(name, '1.1.0', facts.cite({ ...grant, id: cited.package }, grant.id), { by: ann })
    if (index % 5 === 0) facts.yank(name, '1.0.0', cited)
    if (index % 7 === 0) facts.release(name, '2.0.0', facts.cite({ ...grant, id: cited.package }), { by: ann })
  }
  return facts
}

const facts = someFacts()
const registry = facts.registry

interface OpenedStore {
  readonly losses: readonly Loss[]
  readonly scrub: Scrub
  readonly gate: Gate
  /** Everything that a node could tell of the registry. */
  contents(): Promise<Readonly<Record<string, unknown>>>
  close(): Promise<void>
}

/** Store, gate and scrub as a node puts them together. */
export async function openStore(home: string): Promise<OpenedStore> {
  const kv = await openLevel(join(home, 'store'))
  const losses: Loss[] = []
  const store = new FactStore(kv, { heads: new HeadFiles(join(home, 'heads')) })
  const gate = new Gate({ store, mayAsk: () => true })
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const clock = testClock()
  const scrub = new Scrub({
    facts: store,
    gate,
    clock: { now: () => clock.now(), sleep: async () => undefined },
    log,
    onLoss: async (_, loss) => void losses.push(loss)
  })
  await scrub.open(registry)
  return {
    losses,
    scrub,
    gate,
    contents: async () => {
      const rows: Record<string, string> = {}
      for await (const [subject, row] of store.rows(registry)) rows[subject] = toHex(row)
      const envelopes: Record<string, string> = {}
      for await (const subject of store.subjects(registry)) {
        for (const [id, bytes] of await store.factsOf(registry, subject)) envelopes[id] = toHex(bytes)
      }
      const named: string[] = []
      for await (const key of store.namedKeys(registry)) named.push(key)
      const byId: string[] = []
      for (const { id } of facts.all) byId.push(toHex((await store.get(registry, id)) ?? new Uint8Array(0)))
      const digest = toHex(await new RegistryView(store).digest(registry))
      const { count, fingerprint } = store.head(registry)
      const sum = [toHex(fingerprint), toHex(store.set(registry).sum())]
      return { rows, envelopes, named, byId, digest, count, sum }
    },
    close: async () => {
      await store.close()
      await kv.close()
    }
  }
}

export type Shape = 'log' | 'tables'

/** A closed data directory: as it was written, or after LevelDB moved everything into tables. */
export async function closedHome(home: string, shape: Shape): Promise<void> {
  const opened = await openStore(home)
  for (const { bytes } of facts.all) await opened.gate.admit(bytes, { peer: 'p' })
  await opened.close()
  if (shape === 'tables') {
    const { Level } = await import('level')
    const db = new Level<string, Uint8Array>(join(home, 'store'), { valueEncoding: 'view' })
    await db.open()
    await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('!', '~')
    await db.close()
  }
}

/** A seeded generator of numbers in [0, 1): the same trials in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Names of what differs: the whole of it would fill pages. */
function differences(found: Readonly<Record<string, unknown>>, wanted: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(wanted).flatMap(kind => {
    const [one, other] = [found[kind], wanted[kind]].map(value => Object.entries(Object(value)))
    const known = new Map(other)
    const names = one?.filter(([key, value]) => known.get(key) !== value).map(([key]) => `${kind} ${key}`) ?? []
    const isSame = JSON.stringify(found[kind]) === JSON.stringify(wanted[kind])
    return isSame ? [] : [`${kind} differs`, ...names.slice(0, 8)]
  })
}

export interface Flip {
  readonly file: string
  readonly offset: number
  readonly bit: number
}

/** Places spread evenly over all files that LevelDB wrote. */
export async function flipsIn(home: string, count: number, random: () => number): Promise<readonly Flip[]> {
  const files: { readonly file: string; readonly size: number }[] = []
  for (const file of (await readdir(join(home, 'store'))).toSorted()) {
    files.push({ file, size: (await stat(join(home, 'store', file))).size })
  }
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const flips: Flip[] = []
  for (let index = 0; index < count; index++) {
    let offset = Math.floor(((index + random()) / count) * total)
    const bit = Math.floor(random() * 8)
    for (const { file, size } of files) {
      if (offset < size) {
        flips.push({ file, offset, bit })
        break
      }
      offset -= size
    }
  }
  // Small files would be met by chance only: each has its share.
  for (const { file, size } of files.filter(each => each.size > 0)) {
    flips.push({ file, offset: Math.floor(random() * size), bit: Math.floor(random() * 8) })
  }
  return flips
}

export type Outcome = 'nothing lost' | 'told and made good' | 'ended and made good'

/**
 * Flips one bit in a copy, opens it and looks through it: nothing is lost, or the loss is told and can be made good. LevelDB may
 * end the process instead, which is loud too: then `copy` is there already, and this is the next start.
 */
export async function trial(home: string, copy: string, { file, offset, bit }: Flip): Promise<Outcome> {
  const wanted = await contentsOf(home)
  const hasEnded = existsSync(copy)
  if (!hasEnded) await copyFlipped(home, copy, { file, offset, bit })
  const opened = await openStore(copy)
  try {
    await opened.scrub.look(registry, new AbortController().signal)
    const found = await opened.contents()
    const isSame = JSON.stringify(found) === JSON.stringify(wanted)
    if (!isSame && !hasEnded)
      assert.notEqual(opened.losses.length, 0, `a silent difference after ${file} ${offset} ${bit}`)
    const all = facts.all.map(({ bytes: fact }) => fact)
    await opened.gate.admitMany(all, { peer: 'p' })
    await opened.gate.admitMany(all, { peer: 'p' })
    assert.deepEqual(differences(await opened.contents(), wanted), [], `${file} ${offset} ${bit}`)
    assert.equal(await opened.scrub.look(registry, new AbortController().signal), 'sound')
    await opened.close()
    const again = await openStore(copy)
    assert.deepEqual(again.losses, [])
    assert.deepEqual(await again.contents(), wanted)
    await again.close()
    if (hasEnded) return 'ended and made good'
    return isSame ? 'nothing lost' : 'told and made good'
  } finally {
    await opened.close().catch(() => undefined)
    await rm(copy, { recursive: true, force: true })
  }
}

async function copyFlipped(home: string, copy: string, { file, offset, bit }: Flip): Promise<void> {
  const making = `${copy}.making`
  await cp(home, making, { recursive: true })
  const path = join(making, 'store', file)
  const bytes = await readFile(path)
  bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit)
  await writeFile(path, bytes)
  await rename(making, copy)
}

let sound: Readonly<Record<string, unknown>> | undefined

/** What the undamaged store says, read from another copy of it: opening writes. */
async function contentsOf(home: string): Promise<Readonly<Record<string, unknown>>> {
  if (sound !== undefined) return sound
  const copy = `${home}.sound`
  await rm(copy, { recursive: true, force: true })
  await cp(home, copy, { recursive: true })
  const opened = await openStore(copy)
  sound = await opened.contents()
  await opened.close()
  await rm(copy, { recursive: true, force: true })
  return sound
}
