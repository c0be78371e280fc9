import { constants, deflateRawSync } from 'node:zlib'
import { AutomergeDocument } from '../node/documents/automerge.ts'
import type { PlainChange } from '../protocol/document/backend.ts'
import type { FactStatus } from '../protocol/document/document.ts'
import type { Edit } from '../protocol/document/edits.ts'
import { actorOf } from '../protocol/document/payload.ts'
import { keyOf } from '../protocol/document/edits.ts'
import type { FactId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { parseSemver } from '../protocol/version.ts'
import { mutate } from '../test/support/documents/mutate.ts'
import { Rng } from '../test/simulation/rng.ts'
import { chunk, id, listOfNulls, PUT, rawChange, text, uleb } from '../test/support/raw-change.ts'
import { put } from './document-corpus.ts'
import type { DocumentCorpus, WrittenDocument } from './document-corpus.ts'
import { at, signatory } from './writer.ts'
import type { Signatory, Signed } from './writer.ts'

const MUTATIONS = 1_000
const ORPHANS = 1_000
const STUFFINGS = 100
const EDITS_PER_STUFFING = 256

/** What a hostile peer sends, and what is expected of it. */
export interface HostileFact {
  readonly kind: string
  readonly bytes: Uint8Array
  /**
   * `reject`: the gate says so and the sender is blamed. `kept`: its bytes alone are in order, and the document decides.
   * `waits`: nobody knows its author or its predecessor. `either`: a mutation may have hit what means nothing.
   */
  readonly expected: 'reject' | 'kept' | 'waits' | 'either'
  /** What the document must have made of one that is kept. */
  readonly status?: FactStatus
}

/**
 * All of it is properly signed: by somebody who may edit every package of the registry, as is worst, and by a stranger.
 * Bombs as threats F1 and F2 have them, at the size that a fact has room for.
 */
export class HostileFacts {
  readonly #corpus: DocumentCorpus
  readonly #victims: readonly WrittenDocument[]
  readonly #rng = new Rng('bench/hostile')
  readonly #mallory: Signatory
  readonly #encoder = new AutomergeDocument()
  #chains = 0

  constructor(corpus: DocumentCorpus, victims: readonly WrittenDocument[]) {
    this.#corpus = corpus
    this.#victims = victims
    this.#mallory = corpus.rogue
  }

  /** Everything that is out of order, in one mixture. */
  attack(): readonly HostileFact[] {
    const single = [
      ...this.#bombs(),
      ...this.#mutations(),
      ...this.#poison(),
      ...this.#impersonation(),
      ...this.#polluting(),
      ...this.#disagreeing()
    ]
    const runs = [this.#orphans(), this.#late(), this.#forks()]
    // What is said in a row stays in a row; everything else comes in between.
    return interleave([this.#rng.shuffle(single), ...runs])
  }

  /** Its memory is WebAssembly's. */
  free(): void {
    this.#encoder.free()
  }

  #bombs(): readonly HostileFact[] {
    const strings = rawString(40 * 1024 * 1024)
    const bombs: readonly (readonly [string, Uint8Array])[] = [
      ['a million operations', listOfNulls(1_000_000)],
      ['a string of 40 MiB', deflatedChunk(2, strings)],
      ['a document with a string of 40 MiB', deflatedChunk(0, strings)]
    ]
    return bombs.flatMap(([kind, change]) =>
      Array.from({ length: 50 }, () => this.#said(kind, { change, edits: [put('title', 'x')], expected: 'reject' }))
    )
  }

  /** Of both bombs and of a good change, a third each; the same by a stranger. */
  #mutations(): readonly HostileFact[] {
    return Array.from({ length: MUTATIONS }, (_, i) => i).flatMap(i => {
      const edits = [put('title', 'Hello'), put('keywords/web'), put('description', 'x'.repeat(1 + (i % 300)))]
      const by = { ...this.#mallory, chain: this.#chain() }
      const about = at(this.#victims, i).about
      const good = this.#encode({ by, about, edits })
      const stock = [good, listOfNulls(1_000_000), rawChange()]
      const change = mutate(at(stock, i), this.#rng)
      const stranger = { ...signatory(`stranger ${i % 50}`), chain: by.chain }
      return [
        this.#said('a mutation', { change, edits, by, about, expected: 'either' }),
        this.#said('a mutation by a stranger', { change, edits, by: stranger, about, expected: 'waits' })
      ]
    })
  }

  #poison(): readonly HostileFact[] {
    const edits = [put('title', 'poison')]
    const places = [2 ** 31, 2 ** 32 - 2, 2 ** 53 - 1].flatMap(startOp =>
      Array.from({ length: 50 }, () => {
        const by = { ...this.#mallory, chain: this.#chain() }
        const about = at(this.#victims, this.#rng.int(1_000)).about
        const columns = { ...PUT, 0x15: [0x7f, 5, ...text('title')], 0x56: [0x7f, 0x66], 0x57: text('poison') }
        const change = rawChange({ actor: this.#actorOf(by, about), startOp: uleb(startOp), columns })
        return this.#said('an operation far away', { change, edits, by, about, expected: 'reject' })
      })
    )
    // Within the bounds, and still not where it says that it is. Each is the only thing said in its chain.
    const near = Array.from({ length: 10 }, (_, i) => {
      const by = { ...this.#mallory, chain: this.#chain() }
      const about = at(this.#victims, 20 + i).about
      const change = this.#encode({ by, about, edits, startOp: 90_000 })
      return this.#said('an operation out of place', {
        change,
        edits,
        by,
        about,
        expected: 'kept',
        status: 'change-disagrees'
      })
    })
    return [...places, ...near]
  }

  #impersonation(): readonly HostileFact[] {
    return Array.from({ length: 100 }, (_, i) => {
      const document = at(this.#victims, i)
      const edits = [put('title', 'as somebody else')]
      const change = this.#encode({ by: document.people[0], about: document.about, edits })
      return this.#said('by the actor of somebody else', { change, edits, about: document.about, expected: 'reject' })
    })
  }

  #polluting(): readonly HostileFact[] {
    const paths = [
      '__proto__',
      'constructor',
      'keywords/__proto__',
      'links/prototype',
      'a/b/c/d/e/f',
      `keywords/${'k'.repeat(5_000)}`
    ]
    return paths.flatMap(path =>
      Array.from({ length: 30 }, (_, i) => {
        const edits = [put(path, 'x')]
        const about = at(this.#victims, i).about
        const change = this.#encode({ by: this.#mallory, about, edits })
        return this.#said('a strange key', { change, edits, about, expected: 'reject' })
      })
    )
  }

  #disagreeing(): readonly HostileFact[] {
    return Array.from({ length: 100 }, (_, i) => {
      const about = at(this.#victims, i).about
      const change = this.#encode({ by: this.#mallory, about, edits: [put('title', 'what is applied')] })
      return this.#said('edits and a change that disagree', {
        change,
        edits: [put('title', 'what is read')],
        about,
        expected: 'reject'
      })
    })
  }

  /** In one chain after the other, on top of edits and changes that nobody has. */
  #orphans(): readonly HostileFact[] {
    const by = { ...this.#mallory, chain: this.#chain() }
    const last = new Map<Subject, Signed>()
    return Array.from({ length: ORPHANS }, (_, i) => {
      const { about } = at(this.#victims, i % 25)
      const edits = [put(`keywords/flood-${i}`)]
      const deps = [this.#hash(), this.#hash()].toSorted()
      const change = this.#encode({ by, about, edits, deps, startOp: 40, seq: 1 })
      const after = [this.#factId(i)]
      const fact = this.#sign({ change, edits, by, about, after }, last.get(about))
      last.set(about, fact)
      return { kind: 'an orphan', bytes: fact.bytes, expected: 'kept', status: 'derived' }
    })
  }

  /** Behind a fact that never comes. */
  #late(): readonly HostileFact[] {
    return Array.from({ length: ORPHANS }, (_, i) => {
      const by = { ...this.#mallory, chain: this.#chain() }
      const { about } = at(this.#victims, i)
      const edits = [put(`keywords/late-${i}`)]
      const change = this.#encode({ by, about, edits })
      const fact = this.#sign({ change, edits, by, about }, { id: this.#factId(i), seq: 3, bytes: new Uint8Array(0) })
      return { kind: 'behind nothing', bytes: fact.bytes, expected: 'waits' }
    })
  }

  /** Two contents at one position of a chain: neither counts. */
  #forks(): readonly HostileFact[] {
    return Array.from({ length: 20 }, (_, i) => i).flatMap(i => {
      const by = { ...this.#mallory, chain: this.#chain() }
      const { about } = at(this.#victims, 40 + i)
      return ['one', 'other'].map((word): HostileFact => {
        const edits = [put('title', `The ${word} of two`)]
        const change = this.#encode({ by, about, edits })
        return this.#said('a fork', { change, edits, by, about, expected: 'kept', status: 'aside' })
      })
    })
  }

  /** As many and as large edits as are allowed, until there is no room: what costs most and is in order. */
  stuffing(): readonly HostileFact[] {
    const document = at(this.#victims, 60)
    return Array.from({ length: STUFFINGS }, (_, i) => {
      const edits = Array.from({ length: EDITS_PER_STUFFING }, (_word, n) => put(`keywords/s-${i}-${n}`))
      return { kind: 'stuffing', bytes: document.edit(this.#mallory, edits), expected: 'kept', status: 'native' }
    })
  }

  #said(kind: string, { expected, status, ...saying }: Saying & Pick<HostileFact, 'expected' | 'status'>): HostileFact {
    const fact = { kind, bytes: this.#sign(saying).bytes, expected }
    return status === undefined ? fact : { ...fact, status }
  }

  #sign(
    { change, edits, about = at(this.#victims, 0).about, by = this.#mallory, after = [] }: Saying,
    last?: Signed
  ): Signed {
    const { head } = this.#corpus
    const authority = {
      registry: head,
      package: this.#victims.find(one => one.about === about)?.authority.package ?? head
    }
    const scanned = { hash: '', actor: '', seq: 1, startOp: 1, deps: [], ops: [], bytes: change }
    const value = { authority, epoch: null, after, edits, change: scanned }
    return this.#corpus.writer.write(by, about, { type: 'metadata', value }, last)
  }

  #encode({ by, about, edits, ...place }: Encoding): Uint8Array {
    const ops = edits.map(edit => ({
      key: keyOf(edit.path),
      value: edit.op === 'put' ? edit.value : undefined,
      pred: []
    }))
    return this.#encoder.encode({ seq: 1, startOp: 1, deps: [], ...place, actor: this.#actorOf(by, about), ops }).bytes
  }

  #actorOf({ did: author, chain }: Signatory, about: Subject): string {
    return actorOf({ author, registry: this.#corpus.registry, subject: about, chain })
  }

  /** A chain that nothing was said in. */
  #chain(): string {
    return (++this.#chains).toString(16).padStart(32, 'f')
  }

  #hash(): string {
    return Buffer.from(this.#rng.bytes(32)).toString('hex')
  }

  /** The id of a fact that was signed and that nobody will ever see. */
  #factId(i: number): FactId {
    const payload = {
      type: 'yank' as const,
      value: {
        version: parseSemver('1.0.0'),
        reason: `${i}`,
        authority: { registry: this.#corpus.head, package: this.#corpus.head }
      }
    }
    return this.#corpus.writer.write(signatory('nobody'), 'ggen/nothing' as Subject, payload).id
  }
}

interface Saying {
  readonly change: Uint8Array
  readonly edits: readonly Edit[]
  readonly about?: Subject
  readonly by?: Signatory
  readonly after?: readonly FactId[]
}

interface Encoding extends Partial<Pick<PlainChange, 'seq' | 'startOp' | 'deps'>> {
  readonly by: Signatory
  readonly about: Subject
  readonly edits: readonly Edit[]
}

/** The contents of a change that puts one long text. */
function rawString(length: number): Uint8Array {
  const head = [...uleb(0), 32, ...Buffer.from(id(0xaa), 'hex'), 1, 1, 0, 0, 0]
  const key = [0x7f, 5, ...text('title')]
  const meta = [0x7f, ...uleb(length * 16 + 6)]
  const columns: readonly (readonly [number, readonly number[]])[] = [
    [0x15, key],
    [0x34, [1]],
    [0x42, [0x7f, 1]],
    [0x56, meta]
  ]
  const heads = [...columns.flatMap(([kind, bytes]) => [kind, ...uleb(bytes.length)]), 0x57, ...uleb(length), 0x70, 2]
  const before = [...head, 6, ...heads, ...columns.flatMap(([, bytes]) => bytes)]
  const contents = new Uint8Array(before.length + length + 2).fill(0x78)
  contents.set(before)
  contents.set([0x7f, 0], before.length + length)
  return contents
}

function deflatedChunk(type: number, contents: Uint8Array): Uint8Array {
  return chunk(type, new Uint8Array(deflateRawSync(contents, { level: constants.Z_BEST_COMPRESSION })))
}

/** Takes from each list in turn, the longer ones more often, so that all end together. */
function interleave<T>(lists: readonly (readonly T[])[]): readonly T[] {
  return lists
    .flatMap(list => list.map((one, i) => [(i + 1) / (list.length + 1), one] as const))
    .toSorted(([a], [b]) => a - b)
    .map(([, one]) => one)
}
