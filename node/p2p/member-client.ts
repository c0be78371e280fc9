import type { Connection } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  MEMBER_PROTOCOL,
  decodeMemberResponse,
  encodeMemberRequest,
  hostsOfPage
} from '../../protocol/membership/member-messages.ts'
import type { MemberRequest, MemberResponse } from '../../protocol/membership/member-messages.ts'
import type { Clock } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

export interface Asking {
  readonly connection: Connection
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** One stream to one member, on which questions follow each other. */
class MemberStream {
  readonly #io: FramedStream
  readonly #asking: Asking

  constructor(io: FramedStream, asking: Asking) {
    this.#io = io
    this.#asking = asking
  }

  async ask<T extends MemberResponse['type']>(
    request: MemberRequest,
    type: T
  ): Promise<Extract<MemberResponse, { type: T }> | undefined> {
    const { clock, signal } = this.#asking
    const time = deadline(clock, LIMITS.membership.timeoutMs, signal)
    try {
      await this.#io.write(encodeMemberRequest(request), time.signal)
      const bytes = await this.#io.read(LIMITS.membership.responseBytes, time.signal)
      if (bytes === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer ended the stream')
      const response = decodeMemberResponse(bytes)
      if (response.type === 'refused') return undefined
      if (response.type !== type)
        throw new RegistryError('MALFORMED', `${response.type} is no answer to ${request.type}`)
      return response as Extract<MemberResponse, { type: T }>
    } finally {
      time.clear()
    }
  }
}

/** Opens a stream for some questions. @throws RegistryError PEER_UNREACHABLE | TIMEOUT | MALFORMED | LIMIT_EXCEEDED */
async function talk<T>(asking: Asking, task: (stream: MemberStream) => Promise<T>): Promise<T> {
  const io = await open(asking)
  try {
    const result = await task(new MemberStream(io, asking))
    await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    return result
  } catch (error) {
    io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'asking failed', { cause: error }))
    throw error
  }
}

async function open({ connection, clock, signal }: Asking): Promise<FramedStream> {
  const time = deadline(clock, LIMITS.membership.timeoutMs, signal)
  try {
    return new FramedStream(await connection.newStream(MEMBER_PROTOCOL, { signal: time.signal }))
  } finally {
    time.clear()
  }
}

/** A certificate for this host, or undefined when the peer may not issue one or is busy. */
export async function askCertificate(asking: Asking): Promise<Uint8Array | undefined> {
  return await talk(asking, async stream => (await stream.ask({ type: 'certify' }, 'certificate'))?.certificate)
}

/** The signed record of the newest swarm secret, or undefined when there is none or the peer is busy. */
export async function askSwarmKey(asking: Asking): Promise<Uint8Array | undefined> {
  return await talk(asking, async stream => (await stream.ask({ type: 'swarm-key' }, 'swarm-key'))?.record ?? undefined)
}

/** Hands over one page of the peer's roster after the other. Whether it was to the end: a busy peer breaks it off. */
export async function readRoster(
  asking: Asking,
  take: (certificates: readonly Uint8Array[]) => Promise<void>
): Promise<boolean> {
  const { rosterPage, rosterPages } = LIMITS.membership
  return await talk(asking, async stream => {
    let after: string | null = null
    for (let page = 0; page < rosterPages; page++) {
      const answer = await stream.ask({ type: 'roster', after }, 'roster')
      if (answer === undefined) return false
      const hosts = hostsOfPage(answer.certificates, after)
      if (hosts.length > 0) await take(answer.certificates)
      if (hosts.length < rosterPage) return true
      after = hosts.at(-1) ?? null
    }
    return true
  })
}
