import type { DocumentMethods } from '../../node/services/documents/methods.ts'
import { conflictLines, editedLines, settleCatalogue, timeText, valueText } from './document-text.ts'
import { cut, report, safe, table } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

const ANNOUNCED_CHARS = 400

/** `ggen-node category add`. */
export async function addCategory(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...catalogue(options), name: argument(args, 0), ...textParam(options, 'description') }
  const result = await withNode(session, { network: false }, client => client.call('categoryAdd', params))
  report(session, result, () => editedLines(`category ${result.name}`, result))
}

/** `ggen-node category remove`. */
export async function removeCategory(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...catalogue(options), name: argument(args, 0) }
  const result = await withNode(session, { network: false }, client => client.call('categoryRemove', params))
  report(session, result, () => editedLines(`category ${result.name}`, result, 'Removed'))
}

/** `ggen-node category list`. */
export async function listCategories(session: Session, options: Options): Promise<void> {
  const params = textParam(options, 'registry')
  const result = await withNode(session, { network: false }, client => client.call('categoryList', params))
  report(session, result, () => categoryLines(result))
}

export function categoryLines({
  alias,
  categories,
  conflicts,
  publishers
}: DocumentMethods['categoryList']['result']): readonly string[] {
  if (categories.length + conflicts.length === 0) {
    return [`No category in ${safe(alias)}`, nextStep('ggen-node category add NAME --description TEXT')]
  }
  const rows = categories.map(({ name, description }) => [safe(name), cut(safe(description), ANNOUNCED_CHARS)])
  return [...table([['CATEGORY', 'DESCRIPTION'], ...rows]), ...conflictLines(conflicts, settleCatalogue, publishers)]
}

/** `ggen-node announce`. */
export async function announce(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...catalogue(options), text: argument(args, 0) }
  const result = await withNode(session, { network: false }, client => client.call('announce', params))
  report(session, result, () => [
    ...editedLines(valueText(params.text), result, 'Announced'),
    nextStep(`ggen-node announce remove ${safe(result.id)} takes it back`)
  ])
}

/** `ggen-node announce remove`. */
export async function removeAnnouncement(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...catalogue(options), id: argument(args, 0) }
  const result = await withNode(session, { network: false }, client => client.call('announceRemove', params))
  report(session, result, () => editedLines(`announcement ${result.id}`, result, 'Removed'))
}

/** `ggen-node announce list`. */
export async function listAnnouncements(session: Session, options: Options): Promise<void> {
  const params = textParam(options, 'registry')
  const result = await withNode(session, { network: false }, client => client.call('announceList', params))
  report(session, result, () => announcementLines(result))
}

export function announcementLines({
  alias,
  announcements,
  publishers
}: DocumentMethods['announceList']['result']): readonly string[] {
  if (announcements.length === 0) return [`Nothing is announced in ${safe(alias)}`]
  return announcements.flatMap(({ id, text, by, time }) => [
    gutter('Announced', `${timeText(time)} by ${keyText(by, publishers)}`),
    under(`"${cut(safe(text), ANNOUNCED_CHARS)}"`),
    under(safe(id))
  ])
}

function catalogue(options: Options): { key?: string; out?: string; registry?: string } {
  return { ...signingParams(options), ...textParam(options, 'registry') }
}
