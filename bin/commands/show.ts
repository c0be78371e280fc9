import type { ShownPackage } from '../../node/services/api.ts'
import type { HistoryEntry, ShownDocument } from '../../node/services/documents/methods.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { deprecationsOf } from '../../protocol/document/deprecation.ts'
import type { FactStatus } from '../../protocol/document/document.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { conflictLines, orderText, settlePackage, timeText } from './document-text.ts'
import { bytesText, countOf, cut, report, safe, table } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, under } from './style.ts'
import type { Tone } from './style.ts'

/** `ggen-node show`. */
export async function show(session: Session, args: readonly string[], options: Options): Promise<void> {
  const reference = argument(args, 0)
  if (options['history'] === true) return showHistory(session, reference, options)
  if (textOption(options, 'limit') !== undefined) throw new RegistryError('USAGE', '--limit goes with --history')
  if (options['conflicts'] === true) return showConflicts(session, reference)
  const shown = await withNode(session, { network: false }, client => client.call('show', { reference }))
  report(session, shown, () => shownLines(shown))
}

async function showConflicts(session: Session, reference: string): Promise<void> {
  const found = await withNode(session, { network: false }, client => client.call('document', { reference }))
  const { name, registry, alias, document, publishers } = found
  const conflicts = document?.conflicts ?? []
  report(session, { name, registry, alias, conflicts, publishers }, () =>
    conflicts.length === 0
      ? [gutter('Clean', `nobody contradicts anybody about ${safe(reference)}`, 'same')]
      : conflictLines(conflicts, settlePackage(reference), publishers)
  )
}

async function showHistory(session: Session, reference: string, options: Options): Promise<void> {
  const text = textOption(options, 'limit') ?? '20'
  const limit = Number(text)
  if (!/^[0-9]+$/.test(text) || limit < 1 || limit > LIMITS.document.historyEntries) {
    throw new RegistryError('USAGE', `--limit takes a whole number from 1 to ${LIMITS.document.historyEntries}`)
  }
  const found = await withNode(session, { network: false }, client => client.call('history', { reference, limit }))
  report(session, found, () => historyLines(found))
}

/** Newest first: when, who, what, and what became of it. */
export function historyLines({
  entries,
  total,
  publishers = []
}: {
  readonly entries: readonly HistoryEntry[]
  readonly total: number
  readonly publishers?: readonly NamedKey[]
}): readonly string[] {
  if (entries.length === 0) return ['Nobody edited it yet']
  return [
    ...entries.flatMap(({ fact, by, time, status, edits }) => [
      gutter(
        OUTCOMES[status].verb,
        `${timeText(time)} by ${keyText(by, publishers)}${OUTCOMES[status].why}`,
        OUTCOMES[status].tone
      ),
      ...edits.map(order => under(orderText(order))),
      under(fact)
    ]),
    ...(total > entries.length ? [gutter('Older', countOf(total - entries.length, 'statement'), 'same')] : [])
  ]
}

const OUTCOMES: Readonly<Record<FactStatus, { readonly verb: string; readonly why: string; readonly tone: Tone }>> = {
  native: { verb: 'Applied', why: '', tone: 'done' },
  derived: { verb: 'Applied', why: ', anew from its edits', tone: 'done' },
  rollover: { verb: 'Folded', why: ', all before it', tone: 'done' },
  folded: { verb: 'Folded', why: ', into the base of a rollover', tone: 'same' },
  aside: { verb: 'Set aside', why: ', it does not count', tone: 'note' },
  'change-disagrees': { verb: 'Refused', why: ', its change and its edits disagree', tone: 'bad' },
  'document-full': { verb: 'Refused', why: ', the document was full', tone: 'bad' },
  'no-effect': { verb: 'No effect', why: ', another rollover took its place', tone: 'note' }
}

/** All that the registry says of a package: its document, and where that says nothing, the manifest of its newest version. */
export function shownLines(shown: ShownPackage): readonly string[] {
  const { name, versions, setAside, document } = shown
  const deprecations = deprecationsOf(name, document?.deprecated ?? [])
  const count = document?.conflicts.length ?? 0
  return [
    ...table(factRows(shown)),
    ...table([
      ['VERSION', 'STATE', 'SIZE', 'CONTENT'],
      ...versions.flatMap(({ version, state, contents, reasons }) =>
        contents.map(({ cid, size, marks }) => [
          version,
          [state, ...(deprecations(version).length > 0 ? ['deprecated'] : []), ...marks, ...reasons.map(safe)].join(
            ', '
          ),
          bytesText(size),
          cid
        ])
      )
    ]),
    ...seenLines(shown),
    ...(setAside.length === 0
      ? []
      : [
          `${setAside.length} statements about it do not count: ${[...new Set(setAside.map(s => s.reason))].join(', ')}`
        ]),
    ...(count === 0 ? [] : [`${countOf(count, 'conflict')} about it: ggen-node show ${shortOf(name)} --conflicts`])
  ]
}

/** Of each release that others of its registry watched: when they saw it, and how many they are. */
function seenLines({ versions, observations }: ShownPackage): readonly string[] {
  const seenOf = new Map(observations.map(({ release, seen }) => [release, seen]))
  return versions.flatMap(({ version, contents }) =>
    contents.flatMap(({ fact }) => {
      const times = (seenOf.get(fact) ?? []).map(({ time }) => time).toSorted((a, b) => a - b)
      const median = times[times.length >> 1]
      if (median === undefined) return []
      return [`${version} was first seen ${timeText(median)} by ${countOf(times.length, 'observer')} of its registry`]
    })
  )
}

function factRows(shown: ShownPackage): readonly (readonly string[])[] {
  const { name, alias, owners, manifest, document, others, publishers } = shown
  const rows: (readonly string[])[] = [['Package', `${name} in ${alias}`]]
  for (const other of others) {
    const why = other.hidden ? ', which the name alone does not mean' : ', which the name alone means'
    rows.push(['Also in', `${other.alias}${why}: ${other.alias}:${shortOf(name)}`])
  }
  const title = document?.title ?? manifest?.title
  const description = document?.description ?? manifest?.description
  if (title !== undefined) rows.push(['Title', safe(title)])
  if (description !== undefined) rows.push(['About', cut(safe(description), 400)])
  if (manifest?.license !== undefined) rows.push(['Licence', safe(manifest.license)])
  const said = document?.keywords ?? []
  const keywords = said.length > 0 ? said : (manifest?.keywords ?? [])
  if (keywords.length > 0) rows.push(['Keywords', safe(keywords.join(', '))])
  for (const owner of owners) rows.push(['Owner', keyText(owner, publishers)])
  const released = new Set(shown.versions.flatMap(({ contents }) => contents.map(({ by }) => by)))
  const authors = publishers.filter(({ key }) => released.has(key) && !owners.includes(key))
  for (const { key } of authors) rows.push(['Publisher', keyText(key, publishers)])
  if (document !== null) rows.push(...documentRows(document, publishers))
  for (const { name: needed, range, kind, optional } of manifest?.dependencies ?? []) {
    rows.push([
      'Needs',
      safe(`${needed} ${range}${kind === 'external' ? ' (external)' : ''}${optional === true ? ' (optional)' : ''}`)
    ])
  }
  return rows
}

const TAG_STATES: Readonly<Record<ShownDocument['tags'][number]['state'], string>> = {
  ok: '',
  conflict: ' (in conflict)',
  'unknown-version': ' (no such version here)'
}

function documentRows(document: ShownDocument, publishers: readonly NamedKey[]): readonly (readonly string[])[] {
  const { categories, links, tags, deprecated, maintainers } = document
  return [
    ...(categories.length === 0 ? [] : [['Categories', safe(categories.join(', '))]]),
    ...Object.entries(links).map(([name, url]) => ['Link', safe(`${name} ${url}`)]),
    ...tags.map(({ tag, version, state }) => ['Tag', safe(`${tag} ${version}${TAG_STATES[state]}`)]),
    ...deprecated.map(({ range, text }) => ['Deprecated', safe(`${range}: ${text}`)]),
    ...maintainers.map(({ key, name }) => ['Maintainer', safe(`${name} ${keyText(key, publishers)}`)])
  ]
}

function shortOf(name: string): string {
  return safe(name.replace(/^ggen\//, ''))
}
