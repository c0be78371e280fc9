import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { AutomergeDocument } from '../../../node/documents/automerge.ts'
import { assemble } from '../../../protocol/document/assemble.ts'
import type { DocumentBuild } from '../../../protocol/document/build.ts'
import type { RoomLimits } from '../../../protocol/document/room.ts'
import { scanChange } from '../../../protocol/document/change.ts'
import type { FactId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { FactStatus, MetadataFact } from '../../../protocol/document/document.ts'
import { keyOf } from '../../../protocol/document/edits.ts'
import type { DocumentValue, Edit } from '../../../protocol/document/edits.ts'

/** A fact of a made-up team, and what a test wants to know of how it came about. */
export interface Said extends MetadataFact {
  /** What its author saw; undefined where it lies about that. */
  readonly seen: ReadonlySet<FactId> | undefined
}

const PLACE = 1_000
const KEYS = ['title', 'description', 'keywords/a', 'keywords/b', 'keywords/c']
/** `eve` holds no role: what she says is in the set and does not count. */
const CHAINS = ['ann 0', 'ann 1', 'bob 0', 'bob 1', 'cat 0', 'eve 0'] as const
const KINDS = ['edit', 'edit', 'edit', 'edit', 'edit', 'edit', 'rollover', 'lie', 'lie', 'fork'] as const

export interface Move {
  readonly kind: (typeof KINDS)[number]
  readonly chain: number
  /** How much of each chain its author saw. */
  readonly seen: readonly number[]
  readonly keys: readonly number[]
  readonly more: number
}

export function moves(kinds: readonly Move['kind'][] = KINDS, maxLength = 14): fc.Arbitrary<readonly Move[]> {
  return fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      chain: fc.nat(CHAINS.length - 1),
      // Most have seen nearly everything, or much would be orphans.
      seen: fc.array(fc.oneof(fc.constant(PLACE), fc.constant(PLACE), fc.nat(PLACE)), {
        minLength: CHAINS.length,
        maxLength: CHAINS.length
      }),
      keys: fc.array(fc.nat(KEYS.length * 3 - 1), { minLength: 1, maxLength: 3 }),
      more: fc.nat(PLACE)
    }),
    { minLength: 4, maxLength }
  )
}

/** What a team makes of moves, everybody knowing a part only. */
export function play(list: readonly Move[], room?: RoomLimits): readonly Said[] {
  const said: Said[] = []
  for (const [i, move] of list.entries()) {
    said.push(...act(said, { move, i, room }))
    freeBuilds()
  }
  return said
}

/** The facts with what a fold would say of them: strangers do not count, and neither does what is at or behind a fork. */
export function counted<T extends MetadataFact>(facts: readonly T[]): readonly T[] {
  const forks = new Map<string, number>()
  for (const fact of facts) {
    const isForked = facts.some(({ id, author, chain, seq }) => {
      return id !== fact.id && author === fact.author && chain === fact.chain && seq === fact.seq
    })
    const line = `${fact.author} ${fact.chain}`
    if (isForked) forks.set(line, Math.min(fact.seq, forks.get(line) ?? fact.seq))
  }
  return facts.map(fact => {
    const isRollover = fact.change === null
    const holds = isRollover ? fact.author !== 'eve' && fact.author !== 'cat' : fact.author !== 'eve'
    const fork = forks.get(`${fact.author} ${fact.chain}`) ?? Number.POSITIVE_INFINITY
    return { ...fact, counts: holds && fact.seq < fork }
  })
}

const documents: AutomergeDocument[] = []

/** The document of these facts; it is there until `freeBuilds`. */
export function buildOf(facts: readonly MetadataFact[], room?: RoomLimits): DocumentBuild {
  const fresh = (): AutomergeDocument => {
    const document = new AutomergeDocument()
    documents.push(document)
    return document
  }
  return assemble(facts, { fresh, room })
}

/** Memory of documents is WebAssembly's: nobody collects it. */
export function freeBuilds(): void {
  for (const document of documents.splice(0)) document.free()
}

export function statusesOf(build: DocumentBuild): Readonly<Record<string, FactStatus>> {
  return Object.fromEntries([...build.entries.values()].map(({ id, status }) => [id, status]))
}

/** All that a document is, in a form that is equal for equal documents. */
export function shownOf(build: DocumentBuild): unknown {
  const statuses = Object.entries(statusesOf(build)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { ...build.state(), statuses, isFull: build.isFull }
}

/** Key to facts whose values it holds. */
export function holdersOf(build: DocumentBuild): Readonly<Record<string, readonly FactId[]>> {
  const { content } = build.state()
  return Object.fromEntries(content.map(({ key, values }) => [key, values.map(({ fact }) => fact).toSorted()]))
}

interface Turn {
  readonly move: Move
  readonly i: number
  readonly room: RoomLimits | undefined
}

function act(said: readonly Said[], { move, i, room }: Turn): readonly Said[] {
  const line = CHAINS[move.chain] ?? 'ann 0'
  const [author = '', chain = ''] = line.split(' ')
  const seen = counted(seenBy(said, move))
  const build = buildOf(seen, room)
  const at = { author: author as Principal, chain, seq: nextSeq(said, author, chain) }
  const known = new Set(seen.map(({ id }) => id))
  if (move.kind === 'rollover') {
    const after = build.tips()
    if (after.length === 0) return []
    return [sign({ ...at, counts: true, epoch: build.epoch, after, edits: [], change: null, seen: known }, i)]
  }
  const { epoch, after, edits, change: bytes } = compose(build, line, editsOf(move, i))
  if (bytes === undefined) return []
  const { hash, actor, deps } = scanChange(bytes)
  const honest = { ...at, counts: true, epoch, after, edits, change: { hash, actor, deps }, seen: known }
  if (move.kind === 'lie') return [sign(lie(honest, said, move), i)]
  if (move.kind === 'fork') return [sign(honest, i), sign(honest, i + PLACE)]
  return [sign(honest, i)]
}

function compose(build: DocumentBuild, line: string, edits: readonly Edit[]) {
  try {
    return build.compose(createHash('sha256').update(line).digest('hex'), line, edits)
  } catch (error) {
    if (build.isFull || (error as { code?: string }).code === 'DOCUMENT_FULL')
      return { epoch: null, after: [], edits: [], change: undefined }
    throw error
  }
}

function seenBy(said: readonly Said[], { chain: own, seen }: Move): readonly Said[] {
  return CHAINS.flatMap((line, number) => {
    const all = said.filter(({ author, chain }) => `${author} ${chain}` === line)
    const part = number === own ? all.length : Math.ceil(((seen[number] ?? 0) / PLACE) * all.length)
    return all.slice(0, part)
  })
}

function nextSeq(said: readonly Said[], author: string, chain: string): number {
  const own = said.filter(fact => fact.author === author && fact.chain === chain)
  return Math.max(-1, ...own.map(({ seq }) => seq)) + 1
}

function editsOf({ keys }: Move, i: number): readonly Edit[] {
  const seen = new Set<string>()
  return keys.flatMap((number): readonly Edit[] => {
    const key = KEYS[number % KEYS.length] ?? 'title'
    if (seen.has(key)) return []
    seen.add(key)
    const value: DocumentValue = key.startsWith('keywords') ? true : `value ${i}`
    const path = key.split('/')
    return [number >= KEYS.length * 2 ? { op: 'delete', path } : { op: 'put', path, value }]
  })
}

type Unsigned = Omit<Said, 'id'>

/** An edit by somebody who saw some facts, or where there are no edits, a rollover. */
export function say(by: string, edits: readonly Edit[], seen: readonly MetadataFact[] = [], salt = 0): Said {
  const [author = '', chain = '0'] = by.split(' ')
  const line = `${author} ${chain}`
  const build = buildOf(seen)
  const own = seen.filter(fact => fact.author === author && fact.chain === chain)
  const at = {
    author: author as Principal,
    chain,
    seq: own.length,
    counts: true,
    seen: new Set(seen.map(({ id }) => id))
  }
  if (edits.length === 0) return sign({ ...at, epoch: build.epoch, after: build.tips(), edits, change: null }, salt)
  const { change: bytes, ...composed } = build.compose(hex(line), line, edits)
  if (bytes === undefined) throw new Error('there is nothing to edit')
  return sign({ ...at, ...composed, change: scanChange(bytes) }, salt)
}

/** What its author could write instead: other parents, other deps, another change, another epoch. */
function lie(honest: Unsigned, said: readonly Said[], { more }: Move): Unsigned {
  const any = said[more % Math.max(1, said.length)]?.id ?? idOf(`nothing ${more}`)
  const { change } = honest
  const lies: readonly Partial<Unsigned>[] = [
    { after: [] },
    { after: [any] },
    { after: [...honest.after, idOf(`nothing ${more}`)].toSorted() },
    { epoch: any },
    { epoch: null },
    { change: change === null ? null : { ...change, deps: [hex(`dep ${more}`)] } },
    { change: change === null ? null : { ...change, hash: hex(`change ${more}`) } },
    { change: change === null ? null : { ...change, deps: [] } }
  ]
  return { ...honest, ...lies[more % lies.length], seen: undefined }
}

function sign(fact: Unsigned, salt: number): Said {
  const { author, chain, seq, epoch, after, edits, change } = fact
  return { ...fact, id: idOf(JSON.stringify([salt, author, chain, seq, epoch, after, edits, change])) }
}

export function idOf(what: string): FactId {
  return `bafy${hex(what)}` as FactId
}

export function hex(what: string): string {
  return createHash('sha256').update(what).digest('hex')
}

/**
 * What a document must hold, said the slow and plain way: each value that somebody put and nobody replaced who knew of it.
 * Of `statuses` only who was refused, and which rollovers were.
 */
export function expectedHolders(
  facts: readonly MetadataFact[],
  statuses: Readonly<Record<string, FactStatus>>
): Readonly<Record<string, readonly FactId[]>> {
  const knowing = knowledgeOf(facts)
  const says = facts.filter(({ id, counts }) => {
    const status = statuses[id]
    return counts && status !== 'change-disagrees' && status !== 'document-full'
  })
  const holders: Record<string, FactId[]> = {}
  for (const { id, edits } of says) {
    for (const edit of edits) {
      const key = keyOf(edit.path)
      const isReplaced = says.some(other => {
        return other.id !== id && knowing(other.id).has(id) && other.edits.some(({ path }) => keyOf(path) === key)
      })
      if (edit.op === 'put' && !isReplaced) holders[key] = [...(holders[key] ?? []), id].toSorted()
    }
  }
  return holders
}

/** All that a fact follows, itself included. */
export function knowledgeOf(facts: readonly MetadataFact[]): (id: FactId) => ReadonlySet<FactId> {
  const byId = new Map(facts.map(fact => [fact.id, fact]))
  const found = new Map<FactId, ReadonlySet<FactId>>()
  const before = ({ author, chain, seq }: MetadataFact): readonly FactId[] => {
    const own = facts.filter(fact => fact.counts && fact.author === author && fact.chain === chain && fact.seq < seq)
    return own.map(fact => fact.id)
  }
  const read = (id: FactId): ReadonlySet<FactId> => {
    const ready = found.get(id)
    if (ready !== undefined) return ready
    const known = new Set<FactId>([id])
    found.set(id, known)
    const fact = byId.get(id)
    if (fact === undefined) return new Set()
    const parents = [...fact.after, ...(fact.epoch === null ? [] : [fact.epoch]), ...(fact.counts ? before(fact) : [])]
    for (const parent of parents) if (byId.has(parent)) for (const one of read(parent)) known.add(one)
    return known
  }
  return read
}
