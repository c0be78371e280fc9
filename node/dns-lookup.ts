import { NODATA, NOTFOUND, Resolver, TIMEOUT } from 'node:dns/promises'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Answer } from '../protocol/publisher/binding.ts'
import { questionOf } from '../protocol/publisher/domain.ts'
import type { Domain } from '../protocol/publisher/domain.ts'
import { keysInTxt } from '../protocol/publisher/txt.ts'

/** Asks for the TXT records of one name, each in the chunks that it came in. What `node:dns` has, and what tests put in its place. */
export type ResolveTxt = (name: string, signal: AbortSignal) => Promise<readonly (readonly string[])[]>

/**
 * Asks the resolver of the system, or `servers`, once. A resolver of its own for each question, so that giving up on one ends
 * that one alone. Nobody checks here what DNSSEC would say: that is for the resolver, whose word this is.
 */
export function systemTxt(servers: readonly string[]): ResolveTxt {
  return async (name, signal) => {
    signal.throwIfAborted()
    const resolver = new Resolver({ timeout: LIMITS.publisher.lookupMs, tries: 1 })
    if (servers.length > 0) resolver.setServers([...servers])
    const stop = (): void => resolver.cancel()
    signal.addEventListener('abort', stop, { once: true })
    try {
      return await resolver.resolveTxt(name)
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

/** The keys that a domain names. Never throws for what the network does: no answer is one of the answers. */
export async function askDomain(
  resolve: ResolveTxt,
  domain: Domain,
  { signal, timeoutMs = LIMITS.publisher.lookupMs }: { readonly signal: AbortSignal; readonly timeoutMs?: number }
): Promise<Answer> {
  signal.throwIfAborted()
  const timeout = AbortSignal.timeout(timeoutMs)
  const both = AbortSignal.any([signal, timeout])
  try {
    return { keys: keysInTxt(await raced(resolve(questionOf(domain), both), both)) }
  } catch (error) {
    signal.throwIfAborted()
    if (timeout.aborted) return { fault: 'timeout' }
    if (isRegistryError(error)) return { fault: 'too-large' }
    const { code } = error as NodeJS.ErrnoException
    // The domain, or this record of it, does not exist: whoever took it away has taken the key away.
    if (code === NODATA || code === NOTFOUND) return { keys: [] }
    return { fault: code === TIMEOUT ? 'timeout' : 'no-answer' }
  }
}

/** Attack: a resolver that never answers. Nobody waits for it longer than for the signal. */
async function raced<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  asked.catch(() => undefined)
  try {
    return await Promise.race([asked, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
