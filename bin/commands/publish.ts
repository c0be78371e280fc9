import { resolve } from 'node:path'
import type { Published } from '../../node/services/publish.ts'
import { bytesText, countOf, report, safe, table } from './print.ts'
import { argument, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, neededLines, signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node publish`. */
export async function publish(session: Session, args: readonly string[], options: Options): Promise<void> {
  const folder = resolve(argument(args, 0))
  const allowSimilar = options['allowSimilar'] === true
  const params = { folder, allowSimilar, ...signingParams(options), ...textParam(options, 'registry') }
  const published = await withNode(session, { network: false, create: true }, client =>
    client.call('publish', params, { signal: session.signal })
  )
  report(session, published, () => [
    gutter(
      published.already ? 'Unchanged' : 'Published',
      `${published.isDefault ? '' : `${published.alias}:`}${nameOf(published)}  ${countOf(published.files, 'file')}, ${bytesText(published.bytes)}`,
      published.already ? 'same' : 'done'
    ),
    under(published.cid),
    ...noteLines(published),
    ...published.leftOut.map(path => gutter('Left out', safe(path), 'note')),
    ...fileLines(published.file),
    ...neededLines(published.awaiting === null ? [] : [published.awaiting], published.file),
    ...(published.already || published.awaiting !== null
      ? []
      : [
          nextStep(
            `ggen-node show ${published.isDefault ? '' : `${published.alias}:`}${nameOf(published).split('@')[0] ?? ''}`
          )
        ])
  ])
}

/** `ggen-node import`. */
export async function importAll(session: Session, args: readonly string[], options: Options): Promise<void> {
  const folder = resolve(argument(args, 0))
  const params = { folder, ...textParam(options, 'registry'), ...textParam(options, 'key') }
  const { published, refused } = await withProgress(session, onProgress =>
    withNode(session, { network: false, create: true }, client =>
      client.call('importFolder', params, { signal: session.signal, onProgress })
    )
  )
  report(session, { published, refused, counts: { published: published.length, refused: refused.length } }, () => [
    ...table(published.map(entry => [nameOf(entry), entry.cid])).map((line, i) =>
      published[i]?.already === true ? gutter('Unchanged', line, 'same') : gutter('Published', line)
    ),
    ...published.flatMap(entry =>
      entry.notes.length === 0 ? [] : [gutter('Normalised', safe(entry.folder), 'note'), ...noteLines(entry)]
    ),
    ...table(refused.map(entry => [safe(entry.folder), entry.code, safe(entry.reason)])).map(line =>
      gutter('Refused', line, 'bad')
    ),
    gutter('Finished', `${published.length} published, ${refused.length} refused`)
  ])
}

function nameOf({ name, version }: Published): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}

function noteLines({ notes }: Published): readonly string[] {
  return notes.map(({ field, message, from, to }) => {
    const change = from === undefined ? '' : to === undefined ? ` (${from})` : ` (${from} -> ${to})`
    return under(`${safe(field)}: ${safe(message)}${safe(change)}`)
  })
}
