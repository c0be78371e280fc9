import type { Connection, Stream } from '@libp2p/interface'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { decodeMemberRequest, encodeMemberResponse } from '../../protocol/membership/member-messages.ts'
import type { MemberRequest, MemberResponse } from '../../protocol/membership/member-messages.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { isLie } from './facts-client.ts'
import { FramedStream } from './framed-stream.ts'
import type { KnownMember, Membership } from './membership.ts'

export interface MemberServerComponents {
  readonly membership: Membership
  /** Who it is that asks, as the introduction has shown. */
  readonly memberOf: (peer: string) => KnownMember | undefined
  readonly clock: Clock
  readonly log: Log
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

const BUSY: MemberResponse = { type: 'refused', reason: 'busy' }

/** Answers `/ggen/member/1`: one request after the other on a stream. */
export function memberHandler(components: MemberServerComponents): (stream: Stream, connection: Connection) => void {
  const turns = new Turns(components.clock)
  const serve = async (stream: Stream, connection: Connection): Promise<void> => {
    const io = new FramedStream(stream)
    const peer = connection.remotePeer.toString()
    try {
      for (let served = 0; served < LIMITS.membership.requestsPerStream; served++) {
        if (!(await answer(components, { io, peer, turns }))) break
      }
      await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    } catch (error) {
      components.log.debug('answering a member ended', { peer, reason: messageOf(error) })
      if (isLie(error)) components.onMalformed(peer)
      io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'answering failed', { cause: error }))
    }
  }
  return (stream, connection) => void serve(stream, connection)
}

interface Caller {
  readonly io: FramedStream
  readonly peer: string
  readonly turns: Turns
}

/** One request; false when the other side has no more. */
async function answer(components: MemberServerComponents, { io, peer, turns }: Caller): Promise<boolean> {
  const time = deadline(components.clock, LIMITS.membership.timeoutMs)
  let giveBack: (() => void) | undefined
  try {
    const bytes = await io.read(LIMITS.membership.requestBytes, time.signal)
    if (bytes === undefined) return false
    const request = decodeMemberRequest(bytes)
    giveBack = turns.take(peer)
    const response = giveBack === undefined ? BUSY : await respond(components, request, peer)
    await io.write(encodeMemberResponse(response), time.signal)
    return true
  } finally {
    giveBack?.()
    time.clear()
  }
}

async function respond(
  { membership, memberOf, log }: MemberServerComponents,
  request: MemberRequest,
  peer: string
): Promise<MemberResponse> {
  const member = memberOf(peer)
  // Looked at for each request: the cut that follows may be a moment away.
  if (member === undefined || !membership.stands(peer, member)) {
    throw new RegistryError('NOT_AUTHORIZED', 'the peer is no member of the swarm any more')
  }
  try {
    return await decide(membership, request, { peer, member })
  } catch (error) {
    // What is wrong here is not the fault of who asks, and passes: it comes again.
    log.warn('a member could not be answered', { request: request.type, reason: messageOf(error) })
    return BUSY
  }
}

async function decide(
  membership: Membership,
  request: MemberRequest,
  { peer, member }: { readonly peer: string; readonly member: KnownMember }
): Promise<MemberResponse> {
  switch (request.type) {
    case 'certify': {
      const certificate = await membership.certify(peer, member)
      return certificate === undefined
        ? { type: 'refused', reason: 'not-an-issuer' }
        : { type: 'certificate', certificate }
    }
    case 'roster':
      return {
        type: 'roster',
        certificates: membership.roster(request.after).slice(0, LIMITS.membership.rosterPage)
      }
    case 'swarm-key':
      return { type: 'swarm-key', record: membership.swarmKey() ?? null }
  }
}

/**
 * Requests being answered, and how many each peer has asked in the minute. Attack: signing as often as somebody likes; a
 * member that asks on many streams and reads nothing holds every place.
 */
class Turns {
  readonly #clock: Clock
  readonly #byPeer = new Map<string, number>()
  readonly #asked = new Map<string, { since: number; count: number }>()
  #inFlight = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The function that gives the place back, or undefined when there is none. */
  take(peer: string): (() => void) | undefined {
    const { requestsInFlight, requestsInFlightPerPeer, requestsPerPeerPerMinute, peersTracked } = LIMITS.membership
    const own = this.#byPeer.get(peer) ?? 0
    if (this.#inFlight >= requestsInFlight || own >= requestsInFlightPerPeer) return undefined
    const now = this.#clock.now()
    const before = this.#asked.get(peer)
    const asked = before === undefined || now - before.since >= MINUTE ? { since: now, count: 0 } : before
    if (asked.count >= requestsPerPeerPerMinute) return undefined
    asked.count += 1
    this.#asked.delete(peer)
    this.#asked.set(peer, asked)
    if (this.#asked.size > peersTracked) {
      const oldest = this.#asked.keys().next().value
      if (oldest !== undefined) this.#asked.delete(oldest)
    }
    this.#inFlight += 1
    this.#byPeer.set(peer, own + 1)
    return () => {
      this.#inFlight -= 1
      const left = (this.#byPeer.get(peer) ?? 1) - 1
      if (left > 0) this.#byPeer.set(peer, left)
      else this.#byPeer.delete(peer)
    }
  }
}

const MINUTE = 60_000
