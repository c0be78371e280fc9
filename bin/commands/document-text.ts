import type {
  DocumentChange,
  DocumentConflict,
  DocumentEdited,
  EditOrder
} from '../../node/services/documents/methods.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { compareText } from '../../protocol/bytes.ts'
import { keyOf } from '../../protocol/document/edits.ts'
import type { DocumentValue, Path } from '../../protocol/document/edits.ts'
import { countOf, cut, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { fileLines } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

// What documents hold was written by strangers: nothing of it is printed but through `safe`.

/** A longer text is cut where several are listed. */
const LISTED_CHARS = 200

/** What the entries of each field are called, one at a time. */
const ENTRY: ReadonlyMap<string, string> = new Map([
  ['keywords', 'keyword'],
  ['categories', 'category'],
  ['links', 'link'],
  ['tags', 'tag'],
  ['maintainers', 'maintainer'],
  ['bundles', 'bundle'],
  ['members', 'member'],
  ['scores', 'score'],
  ['announcements', 'announcement']
])

/** A place in a document as a person says it: `link homepage`. */
export function placeText([field = '', ...names]: Path): string {
  return safe([ENTRY.get(field) ?? field, ...names.map(name => name.replace(/^ggen\//, ''))].join(' '))
}

export function valueText(value: DocumentValue): string {
  return value === true ? 'there' : `"${cut(safe(value), LISTED_CHARS)}"`
}

/** When an author says that it was; the clock of a stranger may say anything. */
export function timeText(time: number): string {
  const at = new Date(time)
  return Number.isNaN(at.getTime()) ? `at ${time}` : at.toISOString()
}

/** What a signed change did: a verb and whom it was about, each key that is different, and what was settled. */
export function editedLines(about: string, edited: DocumentEdited, verb = 'Edited'): readonly string[] {
  const { fact, changed, settled, notes, file } = edited
  return [
    fact === null
      ? gutter('Unchanged', `${safe(about)}  it says that already`, 'same')
      : gutter(verb, `${safe(about)} in ${safe(edited.alias)}`),
    ...(fact === null ? [] : [under(fact)]),
    ...changed.toSorted((a, b) => compareText(keyOf(a.path), keyOf(b.path))).map(change => under(changeText(change))),
    ...settled.map(path => gutter('Settled', placeText(path))),
    ...notes.map(note => gutter('Note', safe(note), 'note')),
    ...fileLines(file)
  ]
}

function changeText({ path, from, to }: DocumentChange): string {
  const place = placeText(path)
  const [before] = from
  if (to === null) return `- ${place}`
  if (before === undefined) return `+ ${place}${to === true ? '' : ` ${valueText(to)}`}`
  return `~ ${place} ${from.map(valueText).join(' | ')} -> ${valueText(to)}`
}

export function orderText({ op, path, value }: EditOrder): string {
  const place = placeText(path)
  if (op === 'delete' || value === null) return `- ${place}`
  return value === true ? `+ ${place}` : `= ${place} ${valueText(value)}`
}

/** Each value of each conflict, with who said it and when, and the command that settles it. */
export function conflictLines(
  conflicts: readonly DocumentConflict[],
  settle: (path: Path) => string,
  publishers: readonly NamedKey[] = []
): readonly string[] {
  return conflicts.flatMap(({ path, values }) => [
    gutter('Conflict', `${placeText(path)}  ${countOf(values.length, 'value')}, the first is shown elsewhere`, 'bad'),
    ...values.flatMap(({ value, by, time, fact }) => [
      under(valueText(value)),
      under(`  by ${keyText(by, publishers)} at ${timeText(time)}`),
      under(`  ${fact}`)
    ]),
    nextStep(`${safe(settle(path))} settles it`)
  ])
}

/** The command that says a key of a package anew. Names of entries follow a grammar without quotes. */
export function settlePackage(reference: string): (path: Path) => string {
  return ([field = '', name = '']) => {
    const edit = `ggen-node edit ${reference}`
    switch (field) {
      case 'title':
      case 'description':
        return `${edit} --${field} TEXT`
      case 'links':
        return `${edit} --link ${name}=URL`
      case 'tags':
        return `${edit} --tag ${name}=VERSION`
      case 'deprecated':
        return `${edit} --deprecate '${name}' TEXT`
      case 'maintainers':
        return `${edit} --maintainer ${name}=NAME`
      default:
        return `${edit} --${ENTRY.get(field) ?? field} '+${name}'`
    }
  }
}

/** The command that says a key of a catalogue anew. */
export function settleCatalogue([field = '', name = '', member = '']: Path): string {
  switch (field) {
    case 'bundles':
      return `ggen-node bundle create ${name} --title TEXT`
    case 'scores':
      return `ggen-node bundle create ${name} --title TEXT --min-score N`
    case 'members':
      return `ggen-node bundle add ${name} ${member.replace(/^ggen\//, '')}@RANGE`
    case 'categories':
      return `ggen-node category add ${name} --description TEXT`
    default:
      return `ggen-node announce remove ${name}`
  }
}
