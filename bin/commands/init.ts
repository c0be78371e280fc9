import { initHome } from '../../node/home.ts'
import { report } from './print.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node init`. */
export async function init(session: Session, options: Options): Promise<void> {
  const home = await initHome(session.home)
  if (options['registry'] === false) {
    report(session, { home: home.path, key: home.key, registry: null }, () => [
      gutter('Created', home.path),
      gutter('Key', home.key),
      nextStep('ggen-node registry add ID@ADDRESS, or ggen-node join TOKEN')
    ])
    return
  }
  const name = textOption(options, 'name') ?? 'mine'
  const registry = await withNode(session, { network: false }, client => client.call('registryCreate', { name }))
  report(session, { home: home.path, key: home.key, registry }, () => [
    gutter('Created', home.path),
    gutter('Key', home.key),
    gutter('Registry', `${registry.alias}  ${registry.id}`),
    gutter('Recovery', home.recoveryFile, 'note'),
    under('move it to another place: it outranks every other key of the registry'),
    nextStep('ggen-node publish FOLDER, then ggen-node start')
  ])
}
