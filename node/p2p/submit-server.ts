import type { Connection, Stream } from '@libp2p/interface'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { decodeSubmitRequest, encodeSubmitAnswer } from '../../protocol/submit-messages.ts'
import type { SubmitAnswer, SubmitRequest } from '../../protocol/submit-messages.ts'
import { ipOf, isPrivateIp, subnetOf } from './address.ts'
import type { Clock, Log, SubmissionDesk, SubmissionSource } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

export interface SubmitServerComponents {
  readonly desk: SubmissionDesk
  readonly clock: Clock
  readonly log: Log
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

/** What only a peer's own bytes can cause. */
const ITS_FAULT: readonly ErrorCode[] = ['BAD_SIGNATURE', 'INADMISSIBLE_KEY', 'LIMIT_EXCEEDED', 'MALFORMED']

/** Answers `/ggen/submit/1`: one request and one answer on a stream. */
export function submitHandler(components: SubmitServerComponents): (stream: Stream, connection: Connection) => void {
  let inFlight = 0
  // Attack: streams that ask nothing hold every place. One is taken only while a request is being answered.
  const answer = async (request: SubmitRequest, source: SubmissionSource): Promise<SubmitAnswer> => {
    if (inFlight >= LIMITS.submit.inFlight) return { type: 'refused', reason: 'busy' }
    inFlight += 1
    try {
      return await decide(components, request, source)
    } finally {
      inFlight -= 1
    }
  }
  const serve = async (stream: Stream, connection: Connection): Promise<void> => {
    const io = new FramedStream(stream)
    const source = sourceOf(connection)
    const time = deadline(components.clock, LIMITS.submit.timeoutMs)
    try {
      const bytes = await io.read(LIMITS.submit.requestBytes, time.signal)
      if (bytes !== undefined) {
        await io.write(encodeSubmitAnswer(await answer(decodeSubmitRequest(bytes), source)), time.signal)
      }
      await io.end(time.signal)
    } catch (error) {
      components.log.debug('a submission was not answered', { peer: source.peer, reason: messageOf(error) })
      if (isRegistryError(error) && ITS_FAULT.includes(error.code)) components.onMalformed(source.peer)
      io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'answering failed', { cause: error }))
    } finally {
      time.clear()
    }
  }
  return (stream, connection) => void serve(stream, connection)
}

/** What is wrong here, a full disk above all, is nobody's fault and passes: the peer comes again. */
async function decide(
  { desk, log }: SubmitServerComponents,
  request: SubmitRequest,
  source: SubmissionSource
): Promise<SubmitAnswer> {
  try {
    if (request.type === 'ask') return await desk.ask(request.registry, request.id, source)
    return await desk.submit(request.envelope, source)
  } catch (error) {
    if (isRegistryError(error) && ITS_FAULT.includes(error.code)) throw error
    log.warn('a submission could not be decided', { reason: messageOf(error) })
    return { type: 'refused', reason: 'busy' }
  }
}

/** A block of addresses that one customer usually holds; a peer behind a relay shares one with all such. */
function sourceOf({ remotePeer, remoteAddr }: Connection): SubmissionSource {
  const peer = remotePeer.toString()
  const ip = ipOf(remoteAddr)
  if (ip === undefined) return { peer, range: 'relayed', isPrivate: false }
  return isPrivateIp(ip) ? { peer, range: ip, isPrivate: true } : { peer, range: subnetOf(ip), isPrivate: false }
}
