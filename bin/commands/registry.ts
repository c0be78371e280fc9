import { report, table } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { sourceLines } from './source-note.ts'
import { gutter, nextStep } from './style.ts'

/** `ggen-node registry add`. */
export async function add(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [id = '', ...rest] = argument(args, 0).split('@')
  const peer = textOption(options, 'peer') ?? (rest.length === 0 ? undefined : rest.join('@'))
  const alias = textOption(options, 'alias')
  const params = {
    id,
    isDefault: options['default'] === true,
    ...(options['singleSource'] === true ? { singleSource: true } : {}),
    ...(alias === undefined ? {} : { alias }),
    ...(peer === undefined ? {} : { peer })
  }
  const added = await withNode(session, { network: peer !== undefined, create: true }, client =>
    client.call('registryAdd', params, { signal: session.signal })
  )
  report(session, added, () => [
    gutter('Following', `${added.alias}${added.isDefault ? ' (default)' : ''}  ${added.id}`),
    added.facts > 0
      ? gutter('Received', `${added.facts} statements`)
      : gutter('Waiting', 'nothing received yet: it comes with the first peer that follows it', 'note'),
    nextStep('ggen-node search, or ggen-node start --keep all to mirror it')
  ])
}

/** `ggen-node registry list`. */
export async function list(session: Session): Promise<void> {
  const registries = await withNode(session, { network: false }, client => client.call('registryList', {}))
  report(session, { registries }, () =>
    registries.length === 0
      ? ['No registry yet: ggen-node init, or ggen-node registry add ID@ADDRESS']
      : [
          ...table([
            ['ALIAS', 'NAME', 'PACKAGES', 'FACTS', 'ID'],
            ...registries.map(entry => [
              `${entry.alias}${entry.isDefault ? ' (default)' : ''}`,
              entry.name ?? '(genesis not here yet)',
              String(entry.packages),
              String(entry.facts),
              entry.id
            ])
          ]),
          ...sourceLines(registries)
        ]
  )
}
