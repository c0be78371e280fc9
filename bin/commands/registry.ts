import type { ApiMethods } from '../../node/services/api.ts'
import type { ShownRole } from '../../node/services/authority/show.ts'
import { countOf, report, table } from './print.ts'
import { keyText } from './publisher-text.ts'
import { roleLines } from './role.ts'
import { argument, listOption, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { countParam, textParam } from './signed.ts'
import { sourceLines, viewNotes } from './source-note.ts'
import { gutter, nextStep, under } from './style.ts'
import { aliasText } from './swarm-text.ts'

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

/** `ggen-node registry create`. */
export async function create(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    name: argument(args, 0),
    ...textParam(options, 'alias'),
    ...textParam(options, 'admission'),
    ...countParam(options, 'threshold'),
    roots: listOption(options, 'root')
  }
  const made = await withNode(session, { network: false, create: true }, client =>
    client.call('registryCreate', params)
  )
  report(session, made, () => [
    gutter('Created', `${made.alias}${made.isDefault ? ' (default)' : ''}  ${made.id}`),
    nextStep(`ggen-node registry show ${made.alias}`)
  ])
}

/** `ggen-node registry show`. */
export async function show(session: Session, args: readonly string[]): Promise<void> {
  const [registry] = args
  const shown = await withNode(session, { network: false }, client =>
    client.call('registryShow', registry === undefined ? {} : { registry })
  )
  report(session, shown, () => showLines(shown))
}

function showLines(shown: ApiMethods['registryShow']['result']): readonly string[] {
  const { registry, name, alias, isDefault, admission, visibility, owners, threshold, roles, recovery, publishers } =
    shown
  const aside = Object.entries(shown.setAside).map(([reason, count]) => `${count} ${reason}`)
  const others = roles.filter(({ role, scope }) => role !== 'recovery' && (role !== 'owner' || scope !== '*'))
  const forks = shown.forks.open.length
  return [
    ...table([
      ['Registry', `${name}, here ${alias}${isDefault ? ' (default)' : ''}`],
      ['Id', registry],
      ['Names', `${admission}, ${visibility}`],
      ...owners.map(key => ['Owner', `${keyText(key, publishers)}${expiredOwner(roles, key)}`]),
      ['Signs', `${threshold} of ${countOf(owners.length, 'owner')}`],
      ['Recovery', recovery],
      ['Holds', `${countOf(shown.packages, 'package')}, ${countOf(shown.releases, 'release')}`],
      ['Facts', `${shown.facts}, ${aside.length === 0 ? 'all count' : `set aside: ${aside.join(', ')}`}`],
      [
        'Conflicts',
        `${countOf(shown.conflicts, 'version')}, ${countOf(forks, 'open fork')}, ${shown.forks.settled} settled`
      ],
      ['Digest', shown.digest]
    ]),
    ...viewNotes(shown).map(([label, text]) => gutter(label, text, 'note')),
    ...(others.length === 0 ? [] : roleLines(others, publishers)),
    ...(shown.conflicts + forks === 0 ? [] : [nextStep(`ggen-node conflict list --registry ${alias}`)])
  ]
}

function expiredOwner(roles: readonly ShownRole[], key: string): string {
  const own = roles.filter(held => held.key === key && held.role === 'owner')
  return own.length > 0 && own.every(({ expired }) => expired) ? ' (expired)' : ''
}

/** `ggen-node registry remove`. */
export async function remove(session: Session, args: readonly string[], options: Options): Promise<void> {
  const newDefault = textOption(options, 'default')
  const params = {
    registry: argument(args, 0),
    purge: options['purge'] === true,
    ...(newDefault === undefined ? {} : { newDefault })
  }
  const removed = await withNode(session, { network: false }, client => client.call('registryRemove', params))
  report(session, removed, () => [
    gutter('Removed', `${removed.alias}  ${removed.id}`),
    ...(removed.purged ? [under('what it said was deleted')] : []),
    ...(removed.newDefault === null ? [] : [gutter('Default', removed.newDefault, 'same')])
  ])
}

/** `ggen-node registry list`. */
export async function list(session: Session): Promise<void> {
  const { registries, swarms } = await withNode(session, { network: false }, async client => ({
    registries: await client.call('registryList', {}),
    swarms: await client.call('swarmList', {})
  }))
  report(session, { registries }, () =>
    registries.length === 0
      ? ['No registry yet: ggen-node init, or ggen-node registry add ID@ADDRESS']
      : [
          ...table([
            ['ALIAS', 'NAME', 'PACKAGES', 'FACTS', 'ID'],
            ...registries.map(entry => [
              aliasText(entry, swarms),
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
