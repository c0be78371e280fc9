import { parsePrincipal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { standingOf } from '../protocol/membership/members.ts'
import type { NodeParts } from './parts.ts'
import type { Api, ApiMethods } from './services/api.ts'
import { parseExpiry } from './services/authority/expiry.ts'
import { meantSwarm } from './swarm-api.ts'

const DAY = 24 * 3_600_000

/** The calls about what this node answers over plain HTTP. */
export function gatewayApi(parts: NodeParts): Pick<Api, 'gatewayToken'> {
  return { gatewayToken: params => issueToken(parts, params) }
}

/** A token for one member of a private registry. It shows what this node has of that registry, and nothing else. */
async function issueToken(
  parts: NodeParts,
  { registry: which, member: named, expires: until, renew }: ApiMethods['gatewayToken']['params']
): Promise<ApiMethods['gatewayToken']['result']> {
  const { swarm, alias } = meantSwarm(parts, which)
  const { registry } = swarm
  const now = parts.clock.now()
  const { tokenMs, tokenMaxMs } = LIMITS.gateway
  const expires = until === undefined ? now + tokenMs : parseExpiry(until, now)
  if (expires - now > tokenMaxMs) {
    throw new RegistryError('USAGE', `a token of the gateway is good for at most ${tokenMaxMs / DAY} days`)
  }
  const member = named === undefined ? parts.author.principal : parsePrincipal(named)
  const authority = parts.gate.state(registry)?.authority
  if (authority === undefined || standingOf(authority, member, now) !== 'member') {
    throw new RegistryError('NOT_AUTHORIZED', `${member} is no member of ${alias}`, {
      next: `see who is: ggen-node members --registry ${alias}`
    })
  }
  const { tokens } = parts.gateway
  if (!renew) await tokens.load()
  const token = await tokens.issue({ registry, member, expires }, { renew })
  const addresses = parts.gateway.listening.filter(({ serves }) => serves.includes('gateway'))
  return { token, registry, alias, member, expires, renewed: renew, addresses: addresses.map(each => each.address) }
}
