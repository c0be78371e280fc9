import { initHome } from '../../node/home.ts'
import { report } from './print.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node init`. */
export async function init(session: Session, options: Options): Promise<void> {
  const home = await initHome(session.home)
  if (options['registry'] === false) {
    report(session, { home: home.path, key: home.key, registry: null }, () => [
      `Created ${home.path}`,
      `Key      ${home.key}`,
      'Next: ggen-node registry add ID@ADDRESS'
    ])
    return
  }
  const name = textOption(options, 'name') ?? 'mine'
  const registry = await withNode(session, { network: false }, client => client.call('registryCreate', { name }))
  report(session, { home: home.path, key: home.key, registry }, () => [
    `Created  ${home.path}`,
    `Key      ${home.key}`,
    `Registry ${registry.alias}  ${registry.id}`,
    `Recovery ${home.recoveryFile} (move it to another place: it outranks every other key of the registry)`,
    'Next: ggen-node publish FOLDER, then ggen-node start'
  ])
}
