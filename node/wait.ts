import type { RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { ApiMethods } from './services/api.ts'
import type { NodeParts } from './parts.ts'

/**
 * Answers once a registry holds so many facts, so many peers are here, and, with `kept`, nothing is left to fetch.
 * Driven by events: nobody polls.
 */
export async function waitFor(
  parts: NodeParts,
  { registry, facts, peers, kept, timeoutMs }: ApiMethods['waitFor']['params'],
  signal: AbortSignal
): Promise<ApiMethods['waitFor']['result']> {
  const { id } = parts.registries.find(registry)
  const both = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const held = parts.facts.head(id).count
      const connected = (parts.swarms.of(id)?.peers() ?? []).filter(peer => peer.connected).length
      if (held < facts || connected < peers || (kept && (parts.mirror.fetching > 0 || parts.mirrors.isLookDue))) return
      finish()
      resolve({ facts: held })
    }
    const stop = parts.onChange(look)
    const onAbort = (): void => {
      finish()
      reject(timedOut(parts, id, { facts, peers }))
    }
    const finish = (): void => {
      stop()
      both.removeEventListener('abort', onAbort)
    }
    both.addEventListener('abort', onAbort, { once: true })
    look()
  })
}

function timedOut(parts: NodeParts, id: RegistryId, wanted: { facts: number; peers: number }): RegistryError {
  const connected = (parts.swarms.of(id)?.peers() ?? []).filter(peer => peer.connected).length
  return new RegistryError('TIMEOUT', 'what was waited for did not come', {
    tried: [
      `wanted ${wanted.facts} facts and ${wanted.peers} peers`,
      `has ${parts.facts.head(id).count} facts, ${connected} peers, ${parts.mirror.fetching} roots to fetch`
    ]
  })
}
