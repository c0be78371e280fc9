import { resolve } from 'node:path'
import type { Published } from '../../node/services/publish.ts'
import { bytesText, progress, report, safe, table } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node publish`. */
export async function publish(session: Session, args: readonly string[], options: Options): Promise<void> {
  const folder = resolve(argument(args, 0))
  const registry = textOption(options, 'registry')
  const published = await withNode(session, { network: false, create: true }, client =>
    client.call('publish', { folder, ...(registry === undefined ? {} : { registry }) }, { signal: session.signal })
  )
  report(session, published, () => [
    `${published.already ? 'Unchanged' : 'Published'} ${nameOf(published)}  ${published.cid}  ${published.files} files, ${bytesText(published.bytes)}`,
    ...noteLines(published),
    ...published.leftOut.map(path => `  left out: ${safe(path)}`)
  ])
}

/** `ggen-node import`. */
export async function importAll(session: Session, args: readonly string[], options: Options): Promise<void> {
  const folder = resolve(argument(args, 0))
  const registry = textOption(options, 'registry')
  const { published, refused } = await withNode(session, { network: false, create: true }, client =>
    client.call(
      'importFolder',
      { folder, ...(registry === undefined ? {} : { registry }) },
      { signal: session.signal, onProgress: ({ text }) => progress(session, text) }
    )
  )
  report(session, { published, refused, counts: { published: published.length, refused: refused.length } }, () => [
    ...table(published.map(entry => [entry.already ? 'unchanged' : 'published', nameOf(entry), entry.cid])),
    '',
    ...published.flatMap(entry => (entry.notes.length === 0 ? [] : [`${entry.folder}:`, ...noteLines(entry)])),
    '',
    ...table(refused.map(entry => ['refused', entry.folder, entry.code, safe(entry.reason)])),
    '',
    `${published.length} published, ${refused.length} refused`
  ])
}

function nameOf({ name, version }: Published): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}

function noteLines({ notes }: Published): readonly string[] {
  return notes.map(({ field, message, from, to }) => {
    const change = from === undefined ? '' : to === undefined ? ` (${from})` : ` (${from} -> ${to})`
    return `  ${safe(field)}: ${safe(message)}${safe(change)}`
  })
}
