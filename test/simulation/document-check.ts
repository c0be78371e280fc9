import { Engine } from '../../node/documents/engine.ts'
import { foldAuthority } from '../../protocol/authority.ts'
import { equalBytes } from '../../protocol/bytes.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { standingsIn } from '../../protocol/document/build-record.ts'
import { editsOfCatalogue, fingerprintOf, isEdit } from '../../protocol/document/counted.ts'
import type { DocumentState, FactStatus, MetadataFact, Standing } from '../../protocol/document/document.ts'
import { keyOf } from '../../protocol/document/edits.ts'
import { openState, openStored, sealState } from '../../protocol/document/saved.ts'
import { foldWithEdits } from '../../protocol/fold.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { readFact } from './stock.ts'
import type { Stock } from './stock.ts'

/** What is wrong about the documents of a store. */
export interface DocumentFault {
  readonly invariant: 'documents' | 'heard'
  readonly message: string
}

/** Documents as the raw records of a store hold them. */
export interface DocumentStock {
  readonly states: ReadonlyMap<string, Uint8Array>
  readonly saved: ReadonlyMap<string, Uint8Array>
  /** Subjects whose documents wait to be brought up to date. */
  readonly todo: ReadonlySet<string>
}

export async function readDocuments(kv: KeyValue, registry: RegistryId): Promise<DocumentStock> {
  const read = async (kind: string): Promise<ReadonlyMap<string, Uint8Array>> => {
    const prefix = `${kind}!${registry}!`
    const found = new Map<string, Uint8Array>()
    for await (const [key, bytes] of kv.iterate({ gte: prefix, lt: `${prefix}~` }))
      found.set(key.slice(prefix.length), bytes)
    return found
  }
  const todo = await read('doctodo')
  return { states: await read('doc'), saved: await read('docsave'), todo: new Set(todo.keys()) }
}

export interface DocumentChecking {
  readonly stored: DocumentStock
  /** Its holders never sign a change that lies. */
  readonly isHonest: (key: Principal) => boolean
}

/** Holds what is stored, where nothing waits to be done, against documents that are made anew of nothing but the facts. */
export function documentFault(
  registry: RegistryId,
  { set, cut }: Pick<Stock, 'set' | 'cut'>,
  { stored: { states, saved, todo }, isHonest }: DocumentChecking
): DocumentFault | undefined {
  const facts = [...set.values()].map(readFact)
  const about = Map.groupBy(facts, ({ body }) => body.subject)
  const aside = [...cut.values()].filter(({ body }) => body.subject === 'registry').map(readFact)
  const authority = foldAuthority(registry, [...(about.get('registry') ?? []), ...aside])
  const edited = [...about].filter(([, list]) => list.some(isEdit)).map(([subject]) => subject as string)
  for (const subject of new Set([...edited, ...states.keys(), ...saved.keys()]) as Set<'registry' | PackageName>) {
    if (todo.has(subject)) continue
    const list = about.get(subject) ?? []
    const edits =
      authority === undefined
        ? []
        : subject === 'registry'
          ? editsOfCatalogue(authority, list).facts
          : foldWithEdits(subject, authority, list).edits.facts
    const [state, stored] = [states.get(subject), saved.get(subject)]
    if (edits.length === 0) {
      if (state === undefined && stored === undefined) continue
      return { invariant: 'documents', message: `there is a document of ${subject}, about which nobody said a word` }
    }
    const made = madeAnew(edits)
    if (state === undefined || stored === undefined)
      return { invariant: 'documents', message: `the document of ${subject} is missing` }
    const isEqual = equalBytes(state, made.sealed) && standingsOf(stored) === made.standings
    const standings = isEqual ? made.statuses : standingsIn(openStored(stored).build)
    const lost = lostIn(edits, { state: openState(state), standings, isHonest })
    if (lost !== undefined) return { invariant: 'heard', message: `${subject}: ${lost}` }
    if (!isEqual)
      return { invariant: 'documents', message: `the document of ${subject} is not what its facts add up to` }
  }
  return undefined
}

interface MadeAnew {
  readonly sealed: Uint8Array
  readonly standings: string
  readonly statuses: ReadonlyMap<FactId, Standing>
}

/** Made before: nodes that agree are looked at one after the other. */
const known = new Map<string, MadeAnew>()
const KNOWN = 256

function madeAnew(facts: readonly MetadataFact[]): MadeAnew {
  const made = fingerprintOf(facts)
  const before = known.get(made)
  if (before !== undefined) return before
  const engine = new Engine()
  const result = engine.update({ key: 'anew', made, from: undefined, facts })
  engine.dropAll()
  if (result.kind !== 'updated') throw new TypeError('a document was not made of all its facts')
  const { state, saved, standings } = result
  const anew = {
    sealed: sealState(state),
    standings: standingsOf(saved),
    statuses: new Map(standings)
  }
  if (known.size >= KNOWN) known.clear()
  known.set(made, anew)
  return anew
}

function standingsOf(saved: Uint8Array): string {
  const entries = [...standingsIn(openStored(saved).build)].map(
    ([id, { status, counts }]) => `${id} ${status} ${counts}`
  )
  return entries.toSorted().join('\n')
}

/** A document, and how its facts stand in it. */
interface Shown {
  readonly state: DocumentState
  readonly standings: ReadonlyMap<FactId, Standing>
  readonly isHonest: (key: Principal) => boolean
}

const APPLIED: ReadonlySet<FactStatus | undefined> = new Set<FactStatus>(['native', 'derived', 'folded'])

/**
 * The first word of somebody that was lost: an edit that counts and became no part of the document, or a value that is gone
 * though nobody who knew of it said another, or took it away.
 */
function lostIn(facts: readonly MetadataFact[], { state, standings, isHonest }: Shown): string | undefined {
  const statusOf = ({ id }: MetadataFact): FactStatus | undefined => standings.get(id)?.status
  for (const fact of facts) {
    const status = statusOf(fact)
    const isRollover = fact.change === null
    const isKept = isRollover
      ? status === 'rollover' || status === 'no-effect' || status === 'folded'
      : APPLIED.has(status)
    const isExplained = fact.counts
      ? isKept || (status === 'change-disagrees' && !isHonest(fact.author))
      : !isKept || status === 'folded'
    if (!isExplained)
      return `${fact.id} of ${fact.author}, which ${fact.counts ? 'counts' : 'does not count'}, is ${status}`
  }
  const below = ancestorsOf(facts)
  const applied = facts.filter(fact => fact.counts && APPLIED.has(statusOf(fact)))
  const held = new Set(state.content.flatMap(({ key, values }) => values.map(({ fact }) => `${fact} ${key}`)))
  for (const fact of applied) {
    for (const one of fact.edits) {
      const key = keyOf(one.path)
      if (one.op === 'delete' || held.has(`${fact.id} ${key}`)) continue
      const isReplaced = applied.some(
        other =>
          other.id !== fact.id && other.edits.some(({ path }) => keyOf(path) === key) && below(other.id).has(fact.id)
      )
      if (!isReplaced) return `what ${fact.id} says of ${key} is gone, and nobody took it away`
    }
  }
  const isSaid = new Set(applied.map(({ id }) => id))
  const stranger = state.content.flatMap(({ values }) => values).find(({ fact }) => !isSaid.has(fact))
  return stranger === undefined ? undefined : `it holds what ${stranger.fact} says, which is no part of it`
}

/** All that a fact follows: by its own word, and in its chain. */
function ancestorsOf(facts: readonly MetadataFact[]): (id: FactId) => ReadonlySet<FactId> {
  const byId = new Map(facts.map(fact => [fact.id, fact]))
  const chains = Map.groupBy(facts, ({ author, chain }) => `${author} ${chain}`)
  const found = new Map<FactId, ReadonlySet<FactId>>()
  return id => {
    const before = found.get(id)
    if (before !== undefined) return before
    const all = new Set<FactId>()
    const open: FactId[] = [id]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const fact = byId.get(at)
      if (fact === undefined) continue
      // Only what counts follows the one before it in its chain.
      const isBefore = ({ seq, counts }: MetadataFact): boolean => fact.counts && counts && seq < fact.seq
      const own = chains.get(`${fact.author} ${fact.chain}`)?.filter(isBefore) ?? []
      const epoch = fact.epoch === null ? [] : [fact.epoch]
      for (const parent of [...fact.after, ...epoch, ...own.map(one => one.id)]) {
        if (parent === id || all.has(parent)) continue
        all.add(parent)
        open.push(parent)
      }
    }
    found.set(id, all)
    return all
  }
}
