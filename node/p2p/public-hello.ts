import { RegistryError } from '../../protocol/errors.ts'
import { commonVersion, decodeHello, decodeHelloAnswer, encodeHello, encodeHelloAnswer } from '../../protocol/hello.ts'
import type { Hello } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { FramedStream } from './framed-stream.ts'
import type { Introduce } from './hello.ts'

/** The introduction of the public swarm: everybody says who he is, and is believed. docs/spec/hello.md section 2 */
export function publicHello(local: () => Hello): Introduce {
  return async ({ io, asks, signal }) => {
    const ours = local()
    if (asks) await io.write(encodeHello(ours), signal)
    const hello = decodeHello(await readMessage(io, signal))
    const version = commonVersion(ours.versions, hello.versions)
    if (!asks) await io.write(encodeHello(ours), signal)
    await io.write(encodeHelloAnswer({ refused: version === undefined ? 'no-common-version' : null }), signal)
    const { refused } = decodeHelloAnswer(await readMessage(io, signal))
    if (version === undefined) return { accepted: false, reason: 'no-common-version', by: 'us' }
    if (refused !== null) return { accepted: false, reason: refused, by: 'them' }
    return { accepted: true, hello, version }
  }
}

async function readMessage(io: FramedStream, signal: AbortSignal): Promise<Uint8Array> {
  const message = await io.read(LIMITS.hello.messageBytes, signal)
  if (message === undefined) throw new RegistryError('PEER_SILENT', 'the peer ended its hello early')
  return message
}
