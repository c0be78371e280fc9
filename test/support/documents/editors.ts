import { inlineEngine } from '../../../node/documents/inline.ts'
import { foldWithEdits } from '../../../protocol/fold.ts'
import { editsOfCatalogue, fingerprintOf } from '../../../protocol/document/counted.ts'
import type { DocumentState, FactStatus, MetadataFact } from '../../../protocol/document/document.ts'
import type { DocumentValue, Edit } from '../../../protocol/document/edits.ts'
import { actorOf } from '../../../protocol/document/payload.ts'
import { scanChange } from '../../../protocol/document/change.ts'
import type { FactBody, Subject } from '../../../protocol/fact.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { CitedAuthority } from '../../../protocol/payload.ts'
import { authorityOf, toVerified } from '../fold.ts'
import type { FactWriter, Made, Person } from '../facts.ts'

export function put(path: string, value: DocumentValue = true): Edit {
  return { op: 'put', path: path.split('/'), value }
}

export function drop(path: string): Edit {
  return { op: 'delete', path: path.split('/') }
}

/** What somebody who knows some of the facts sees and signs. */
export class Editors {
  readonly facts: FactWriter
  readonly subject: Subject
  readonly authority: CitedAuthority

  constructor(facts: FactWriter, subject: Subject, authority: CitedAuthority) {
    this.facts = facts
    this.subject = subject
    this.authority = authority
  }

  /** An edit by one who has seen `seen` (by default everything); its edits are one change. */
  async edit(
    by: Person,
    edits: readonly Edit[],
    seen: readonly Made[] = this.facts.all,
    at: Partial<FactBody> = {}
  ): Promise<Made> {
    const { registry } = this.facts
    const chain = at.chain ?? by.chain
    const engine = inlineEngine()
    const facts = this.edits(seen)
    const made = fingerprintOf(facts)
    const document = await engine.update({ key: 'd', made, from: undefined, facts })
    if (document.kind !== 'updated') throw new TypeError('a document could not be made')
    const actor = actorOf({ author: by.did, registry, subject: this.subject, chain })
    const composed = await engine.compose({ key: 'd', made, saved: undefined, actor, author: by.did, chain, edits })
    await engine.close()
    if (composed.kind !== 'composed' || composed.change === undefined) throw new TypeError('there is nothing to edit')
    const { epoch, after, change } = composed
    const value = {
      authority: this.authority,
      epoch,
      after,
      edits: composed.edits,
      change: { ...scanChange(change), bytes: change }
    }
    return this.facts.write(by, this.subject, { type: 'metadata', value }, at)
  }

  /** A rollover of what `seen` comes to. */
  rollover(by: Person, after: readonly Made[], epoch: Made | null = null): Made {
    const ids = after.map(({ id }) => id).toSorted()
    const value = { authority: this.authority, epoch: epoch?.id ?? null, after: ids, edits: [], change: null }
    return this.facts.write(by, this.subject, { type: 'metadata', value })
  }

  /** What the fold says of these facts. */
  edits(seen: readonly Made[] = this.facts.all): readonly MetadataFact[] {
    const authority = authorityOf(this.facts)
    const about = seen.filter(({ body }) => body.subject === this.subject).map(toVerified)
    return this.subject === 'registry'
      ? editsOfCatalogue(authority, about).facts
      : foldWithEdits(this.subject as PackageName, authority, about).edits.facts
  }

  /** The document of these facts. */
  async document(seen: readonly Made[] = this.facts.all): Promise<Shown> {
    return documentOf(this.edits(seen))
  }
}

export interface Shown {
  readonly state: DocumentState
  readonly statuses: Readonly<Record<string, FactStatus>>
  /** Key to values, the one that is shown first. */
  readonly content: Readonly<Record<string, readonly DocumentValue[]>>
}

export async function documentOf(facts: readonly MetadataFact[]): Promise<Shown> {
  const engine = inlineEngine()
  const result = await engine.update({ key: 'd', made: fingerprintOf(facts), from: undefined, facts })
  await engine.close()
  if (result.kind !== 'updated') throw new TypeError('a document could not be made')
  const { state, standings } = result
  const statuses = Object.fromEntries(standings.map(([id, { status }]) => [id, status]))
  return { state, statuses, content: contentOf(state) }
}

export function contentOf({ content }: DocumentState): Shown['content'] {
  return Object.fromEntries(content.map(({ key, values }) => [key, values.map(({ value }) => value)]))
}
