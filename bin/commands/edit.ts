import { resolve } from 'node:path'
import type { WholeField } from '../../node/services/documents/methods.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { editedLines } from './document-text.ts'
import { ordersOf } from './edit-orders.ts'
import { countOf, report, safe } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, signingParams, textParam } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node edit`. */
export async function edit(session: Session, args: readonly string[], options: Options): Promise<void> {
  const edits = ordersOf(options)
  const file = textOption(options, 'file')
  if (file !== undefined && edits.length > 0) {
    throw new RegistryError('USAGE', '--file says what to edit, and so do other options', { next: 'use one of both' })
  }
  if (file === undefined && edits.length === 0) {
    throw new RegistryError('USAGE', 'nothing to edit was named', { next: 'ggen-node edit --help lists what there is' })
  }
  const whole = file === undefined ? {} : { whole: await wholeOf(file) }
  const params = { ...signingParams(options), reference: argument(args, 0), edits, ...whole }
  const result = await withNode(session, { network: false }, client =>
    client.call('edit', params, { signal: session.signal })
  )
  report(session, result, () => editedLines(shortOf(result.name), result))
}

/** Loaded when a file is read: most edits come without one. */
async function wholeOf(file: string): Promise<readonly WholeField[]> {
  const { readDocumentFile } = await import('../../node/document-file.ts')
  return readDocumentFile(resolve(file))
}

/** `ggen-node rollover`. */
export async function rollover(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [reference] = args
  const params = {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    ...(reference === undefined ? {} : { reference })
  }
  const result = await withNode(session, { network: false }, client =>
    client.call('rollover', params, { signal: session.signal })
  )
  const { name, alias, fact, folded, notes } = result
  const about = `${name === null ? 'the catalogue' : shortOf(name)} in ${safe(alias)}`
  report(session, result, () => [
    ...(fact === null
      ? [gutter('Unchanged', `${about}  there is nothing to fold`, 'same')]
      : [gutter('Folded', `${countOf(folded, 'statement')} about ${about}: edits go on from there`), under(fact)]),
    ...notes.map(note => gutter('Note', safe(note), 'note')),
    ...fileLines(result.file)
  ])
}

function shortOf(name: string): string {
  return safe(name.replace(/^ggen\//, ''))
}
