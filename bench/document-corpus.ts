import { AutomergeDocument } from '../node/documents/automerge.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { DocumentBuild } from '../protocol/document/build.ts'
import { scanChange } from '../protocol/document/change.ts'
import type { Composed } from '../protocol/document/document.ts'
import type { DocumentValue, Edit } from '../protocol/document/edits.ts'
import { actorOf } from '../protocol/document/payload.ts'
import type { Metadata } from '../protocol/document/payload.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import type { CitedAuthority } from '../protocol/payload.ts'
import { subject } from '../test/support/facts.ts'
import { found, nameAt } from './corpus.ts'
import { at, Writer } from './writer.ts'
import type { Signatory, Signed } from './writer.ts'

/** In one of so many documents two people say a different title without having seen each other's. */
const CONFLICT_EVERY = 4

/** A registry whose packages have words, and who goes on writing them. */
export class DocumentCorpus {
  readonly writer = new Writer()
  readonly #founding = found(this.writer)

  get registry(): RegistryId {
    return this.writer.registry
  }

  /** What comes before all packages. */
  get founding(): readonly Uint8Array[] {
    return this.#founding.facts
  }

  /** The head of the registry's authority. */
  get head(): FactId {
    return this.#founding.head
  }

  /** Somebody who may edit every package, and says nothing here. */
  get rogue(): Signatory {
    return at(this.writer.publishers, this.writer.publishers.length - 1)
  }

  /** Claims a package and lets three people say what packages usually say. Free the document when nobody writes it any more. */
  write(index: number): { readonly document: WrittenDocument; readonly facts: readonly Uint8Array[] } {
    const { writer, head } = this
    const about = subject(nameAt(index))
    const owner = at(writer.owners, index)
    const value = { authPrev: head, keys: [owner.did], threshold: 1 }
    const claim = writer.write(at(writer.curators, index), about, { type: 'claim', value })
    const publishers = writer.publishers.filter(one => one !== this.rogue)
    const people = [owner, at(publishers, index), at(publishers, index + 3)] as const
    const document = new WrittenDocument(writer, { about, people, authority: { registry: head, package: claim.id } })
    return { document, facts: [claim.bytes, ...begin(document, index)] }
  }
}

/** About as much text as a package of the sample marketplace has, and a few changes of it. */
function begin(document: WrittenDocument, index: number): readonly Uint8Array[] {
  const [owner, second, third] = document.people
  const name = nameAt(index)
  const facts = [
    document.edit(owner, [
      put('title', `Package number ${index}`),
      put(
        'description',
        `The description of package ${index}, which is about as long as descriptions are in the marketplace`
      ),
      ...['bench', 'ontology', 'rdf', `group-${index % 50}`, `kind-${index % 7}`].map(word => put(`keywords/${word}`)),
      put('links/homepage', `https://packages.example.org/${name}`),
      put('links/repository', `https://code.example.org/bench/${name}.git`)
    ]),
    document.edit(second, [
      put('description', `Package ${index}: the description after somebody else read it once more`)
    ]),
    document.edit(third, [put('tags/latest', `1.0.${index % 100}`), drop('keywords/rdf'), put('keywords/linked-data')])
  ]
  if (index % CONFLICT_EVERY !== 0) return facts
  const titles = [owner, second].map(
    by => [by, [put('title', `Number ${index} as ${by.did.slice(-6)} says it`)]] as const
  )
  return [...facts, ...document.editApart(titles)]
}

interface WrittenInit {
  readonly about: Subject
  readonly people: readonly [Signatory, Signatory, Signatory]
  readonly authority: CitedAuthority
}

/** One document and the chains of those who write it: it makes facts as nodes sign them. */
export class WrittenDocument {
  readonly about: Subject
  readonly people: readonly [Signatory, Signatory, Signatory]
  readonly authority: CitedAuthority
  readonly #writer: Writer
  readonly #automerge = new AutomergeDocument()
  readonly #build = new DocumentBuild(this.#automerge, null)
  readonly #last = new Map<string, Signed>()
  #said = 0

  constructor(writer: Writer, { about, people, authority }: WrittenInit) {
    this.#writer = writer
    this.about = about
    this.people = people
    this.authority = authority
  }

  /** What everybody says who has seen all so far. */
  edit(by: Signatory, edits: readonly Edit[]): Uint8Array {
    return this.#sign(by, this.#compose(by, edits))
  }

  /** People who have seen all so far, and nothing of each other. */
  editApart(all: readonly (readonly [Signatory, readonly Edit[]])[]): readonly Uint8Array[] {
    const composed = all.map(([by, edits]) => [by, this.#compose(by, edits)] as const)
    return composed.map(([by, one]) => this.#sign(by, one))
  }

  /** A small change of the kind that people make, by each of them in turn. */
  next(): Uint8Array {
    const said = this.#said++
    return this.edit(at(this.people, said), [put(...at(SMALL, said)(said))])
  }

  /** Its memory is WebAssembly's. */
  free(): void {
    this.#automerge.free()
  }

  #compose(by: Signatory, edits: readonly Edit[]): Composed {
    return this.#build.compose(this.#actorOf(by), `${by.did} ${by.chain}`, edits)
  }

  #sign(by: Signatory, { epoch, after, edits, change }: Composed): Uint8Array {
    if (change === undefined) throw new RegistryError('INTERNAL', 'an edit of the corpus changes nothing')
    const value: Metadata = {
      authority: this.authority,
      epoch,
      after,
      edits,
      change: { ...scanChange(change), bytes: change }
    }
    const signed = this.#writer.write(by, this.about, { type: 'metadata', value }, this.#last.get(by.did))
    this.#last.set(by.did, signed)
    this.#build.add({ ...value, id: signed.id, author: by.did, chain: by.chain, seq: signed.seq, counts: true })
    return signed.bytes
  }

  #actorOf({ did: author, chain }: Signatory): string {
    return actorOf({ author, registry: this.#writer.registry, subject: this.about, chain })
  }
}

type Put = Extract<Edit, { op: 'put' }>

const SMALL: readonly ((said: number) => readonly [string, DocumentValue])[] = [
  said => ['description', `The description as it was said the ${said}th time, a little better than the time before`],
  said => [`keywords/word-${said}`, true],
  said => ['tags/next', `2.0.${said}`],
  said => ['title', `A title that was said the ${said}th time`]
]

export function put(path: string, value: DocumentValue = true): Put {
  return { op: 'put', path: path.split('/'), value }
}

export function drop(path: string): Edit {
  return { op: 'delete', path: path.split('/') }
}
