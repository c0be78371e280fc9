import type { Connection } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { SUBMIT_PROTOCOL, decodeSubmitAnswer, encodeSubmitRequest } from '../../protocol/submit-messages.ts'
import type { SubmitAnswer, SubmitRequest } from '../../protocol/submit-messages.ts'
import type { Clock } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

/** One question to one peer, with a deadline. @throws RegistryError PEER_UNREACHABLE | TIMEOUT | MALFORMED */
export async function askSubmission(
  { connection, clock }: { readonly connection: Connection | undefined; readonly clock: Clock },
  request: SubmitRequest,
  signal: AbortSignal
): Promise<SubmitAnswer> {
  if (connection === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer is not connected')
  const time = deadline(clock, LIMITS.submit.timeoutMs, signal)
  let io: FramedStream | undefined
  try {
    io = new FramedStream(await connection.newStream(SUBMIT_PROTOCOL, { signal: time.signal }))
    await io.write(encodeSubmitRequest(request), time.signal)
    const bytes = await io.read(LIMITS.submit.answerBytes, time.signal)
    if (bytes === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer ended the stream')
    const answer = decodeSubmitAnswer(bytes)
    await io.end(time.signal)
    return answer
  } catch (error) {
    io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'asking failed', { cause: error }))
    throw error
  } finally {
    time.clear()
  }
}
