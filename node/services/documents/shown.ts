import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId } from '../../../protocol/cid.ts'
import type { DocumentState, Standing } from '../../../protocol/document/document.ts'
import { distinctValues, wordsOf } from '../../../protocol/document/words.ts'
import type { HeldPath } from '../../../protocol/document/words.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { ofType } from '../../../protocol/fold-versions.ts'
import type { Version } from '../../../protocol/version.ts'
import type { DocumentConflict, HistoryEntry, SaidValue, ShownDocument } from './methods.ts'

/** The document of a package for people, with who said what they disagree about. */
export function shownDocument(
  state: DocumentState,
  { view, facts }: { readonly view: PackageView; readonly facts: readonly VerifiedFact[] }
): ShownDocument {
  const words = wordsOf(view.name, state)
  return {
    ...words,
    links: Object.fromEntries(words.links),
    tags: words.tags.map(({ tag, versions }) => ({ tag, version: versions[0] ?? '', state: tagState(view, versions) })),
    conflicts: saidIn(words.conflicts, facts),
    edits: view.document?.counted ?? 0,
    heads: state.heads
  }
}

/** Whether a tag may be followed that people say these versions of. */
export function tagState(
  view: PackageView,
  [version, ...others]: readonly string[]
): ShownDocument['tags'][number]['state'] {
  if (others.length > 0) return 'conflict'
  const entry = view.versions.find(known => known.version === (version as Version | undefined))
  if (entry === undefined) return 'unknown-version'
  return entry.contents.length > 1 ? 'conflict' : 'ok'
}

/** Who said each of the values that are in conflict, and when. */
export function saidIn(conflicts: readonly HeldPath[], facts: readonly VerifiedFact[]): readonly DocumentConflict[] {
  const byId = new Map(facts.map(fact => [fact.id, fact]))
  return conflicts.map(key => ({
    path: key.path,
    values: distinctValues(key).flatMap((value): readonly SaidValue[] =>
      key.values
        .filter(held => held.value === value)
        .flatMap(({ fact }) => {
          const said = byId.get(fact)
          return said === undefined ? [] : { value, by: said.body.author, time: said.body.time, fact }
        })
    )
  }))
}

/** What was ever said about the words of a subject, newest first by what the authors say. */
export function historyOf(
  facts: readonly VerifiedFact[],
  standings: ReadonlyMap<FactId, Standing>,
  limit: number
): { readonly entries: readonly HistoryEntry[]; readonly total: number } {
  const edits = ofType(facts, 'metadata').toSorted((a, b) => b.body.time - a.body.time || (a.id < b.id ? 1 : -1))
  const entries = edits.slice(0, limit).map(({ id, body, payload }): HistoryEntry => ({
    fact: id,
    by: body.author,
    time: body.time,
    status: standings.get(id)?.status ?? 'aside',
    edits: payload.value.edits.map(edit => ({ ...edit, value: edit.op === 'put' ? edit.value : null })),
    epoch: payload.value.epoch
  }))
  return { entries, total: edits.length }
}
