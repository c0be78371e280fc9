import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import type { Authored } from '../../node/services/authority/methods.ts'
import type { ShownRole, ShownRoles } from '../../node/services/authority/show.ts'
import type { NodeClient } from '../../node/services/api.ts'
import { report, safe, table } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, listOption, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { aboutParams, authoredLines, countParam, signingParams, textParam } from './signed.ts'
import { gutter } from './style.ts'

/** `ggen-node role list`. */
export async function list(session: Session, args: readonly string[], options: Options): Promise<void> {
  const reference = args[0]
  const params = { ...textParam(options, 'registry'), ...(reference === undefined ? {} : { package: reference }) }
  const shown = await withNode(session, { network: false }, client => client.call('roleList', params))
  report(session, shown, () => roleLines(shown.roles, shown.publishers))
}

export function roleLines(roles: readonly ShownRole[], publishers: readonly NamedKey[] = []): readonly string[] {
  return table([
    ['ROLE', 'SCOPE', 'EXPIRES', 'KEY'],
    ...roles.map(({ role, scope, expires, expired, key }) => [
      role,
      scope,
      expiryText(expires, expired),
      keyText(key, publishers)
    ])
  ])
}

function expiryText(expires: number | null, expired: boolean): string {
  if (expires === null) return 'never'
  const at = expires > 8.64e15 ? 'never' : new Date(expires).toISOString().slice(0, 16).replace('T', ' ')
  return expired ? `${at} (expired)` : at
}

/** `ggen-node role grant`. */
export async function grant(session: Session, args: readonly string[], options: Options): Promise<void> {
  await give(session, options, { to: argument(args, 0), role: argument(args, 1) })
}

/** `ggen-node owner add`. */
export async function addOwner(session: Session, args: readonly string[], options: Options): Promise<void> {
  await give(session, options, { to: argument(args, 0), role: 'owner' })
}

async function give(session: Session, options: Options, given: { to: string; role: string }): Promise<void> {
  const params = {
    ...aboutParams(options),
    ...given,
    ...textParam(options, 'scope'),
    ...textParam(options, 'expires'),
    ...countParam(options, 'threshold')
  }
  await authored(session, client => client.call('roleGrant', params))
}

/** `ggen-node role revoke`. */
export async function revoke(session: Session, args: readonly string[], options: Options): Promise<void> {
  await take(session, options, { from: argument(args, 0), ...textParam(options, 'role') })
}

/** `ggen-node owner remove`. */
export async function removeOwner(session: Session, args: readonly string[], options: Options): Promise<void> {
  await take(session, options, { from: argument(args, 0), role: 'owner' })
}

async function take(session: Session, options: Options, taken: { from: string; role?: string }): Promise<void> {
  const params = {
    ...aboutParams(options),
    ...taken,
    ...textParam(options, 'scope'),
    ...countParam(options, 'threshold'),
    reason: textOption(options, 'reason') ?? '',
    compromised: options['compromised'] === true,
    keep: listOption(options, 'keep')
  }
  await authored(session, client => client.call('roleRevoke', params))
}

/** `ggen-node role rotate`. */
export async function rotate(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    from: argument(args, 0),
    to: argument(args, 1)
  }
  const result = await withNode(session, { network: false }, client => client.call('roleRotate', params))
  report(session, result, () => [
    ...authoredLines(result),
    ...result.skipped.map(({ subject, why }) => gutter('Skipped', safe(`${subject}: ${why}`), 'note'))
  ])
}

/** `ggen-node owner list`. */
export async function owners(session: Session, options: Options): Promise<void> {
  const params = { ...textParam(options, 'registry'), ...textParam(options, 'package') }
  const shown = await withNode(session, { network: false }, client => client.call('roleList', params))
  const { registry, alias, subject, owners: keys, threshold, publishers } = shown
  report(session, { registry, alias, subject, owners: keys, threshold, publishers }, () => ownerLines(shown))
}

export function ownerLines({
  owners: keys,
  threshold,
  publishers = []
}: Pick<ShownRoles, 'owners' | 'threshold'> & { readonly publishers?: readonly NamedKey[] }): readonly string[] {
  return [
    ...keys.map(key => gutter('Owner', keyText(key, publishers))),
    gutter('Signs', `${threshold} of ${keys.length}`, 'same')
  ]
}

/** `ggen-node transfer`. */
export async function transfer(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...signingParams(options), package: argument(args, 0), to: argument(args, 1) }
  await authored(session, client => client.call('transfer', params))
}

async function authored(session: Session, call: (client: NodeClient) => Promise<Authored>): Promise<void> {
  const result = await withNode(session, { network: false }, call)
  report(session, result, () => authoredLines(result))
}
