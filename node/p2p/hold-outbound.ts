import type { Connection } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'

type Verdict = { readonly accepted: true } | { readonly accepted: false; readonly reason: string }

/**
 * Libraries open streams of their own accord (identify tells everybody of a new address): none begins before the verdict.
 * Held back before the negotiation, because that already says which protocols run here.
 */
export function holdOutbound(connection: Connection, verdict: Promise<Verdict>): void {
  const newStream = connection.newStream.bind(connection)
  connection.newStream = async (protocols, options) => {
    const { signal } = options ?? {}
    await within(verdict, signal)
    return await newStream(protocols, options)
  }
}

async function within(verdict: Promise<Verdict>, signal: AbortSignal | undefined): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal?.reason instanceof Error ? signal.reason : gaveUp())
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  try {
    const settled = await Promise.race([verdict, promise])
    if (!settled.accepted) throw new RegistryError('PEER_SILENT', `not introduced: ${settled.reason}`)
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

function gaveUp(): RegistryError {
  return new RegistryError('CANCELLED', 'given up before the introduction')
}
