import { timeText } from './member-key.ts'
import { report, safe } from './print.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node gateway token`. */
export async function token(session: Session, options: Options): Promise<void> {
  const [registry, member, expires] = ['registry', 'member', 'expires'].map(name => textOption(options, name))
  const params = {
    renew: options['renew'] === true,
    ...(registry === undefined ? {} : { registry }),
    ...(member === undefined ? {} : { member }),
    ...(expires === undefined ? {} : { expires })
  }
  const made = await withNode(session, { network: false }, client =>
    client.call('gatewayToken', params, { signal: session.signal })
  )
  const [address = 'HOST:PORT'] = made.addresses
  report(session, made, () => [
    gutter('Token', `for ${made.member} in ${safe(made.alias)}, until ${timeText(made.expires)}`),
    under(made.token),
    ...(made.renewed ? [gutter('Ended', 'every token that this node gave out before', 'note')] : []),
    made.addresses.length === 0
      ? nextStep('open the gateway: ggen-node config set gateway.listen 127.0.0.1:8080, then start the node again')
      : nextStep(`curl -H "Authorization: Bearer TOKEN" "http://${address}/ipfs/CID?format=car"`)
  ])
}
