import { isPeerId } from '@libp2p/interface'
import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { HelloRefusal } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'
import type { HelloFailure, HelloVerdict } from './hello.ts'
import { DialInTurn } from './in-turn.ts'
import type { Host } from './libp2p.ts'
import type { Membership } from './membership.ts'

export interface DialOptions {
  readonly membership: Membership | undefined
  readonly signal: AbortSignal
  /** The clock of somebody who has little time: an address where nobody answers is left for the next one soon. */
  readonly hurry?: Clock
}

/**
 * Dials and waits for the introduction.
 * @throws RegistryError PEER_UNREACHABLE | PEER_SILENT | PEER_INCOMPATIBLE | NOT_AUTHORIZED
 */
export async function dial(
  host: Host,
  address: Multiaddr | Multiaddr[] | PeerId,
  { membership, signal, hurry }: DialOptions
): Promise<string> {
  const tried = isPeerId(address) ? [] : [address].flat()
  const named = isPeerId(address)
    ? address.toString()
    : tried[0]?.getComponents().findLast(({ name }) => name === 'p2p')?.value
  if (named !== undefined && membership?.isBarred(named) === true) {
    throw new RegistryError(
      'NOT_AUTHORIZED',
      `${named} was a host of somebody who is no member any more: not dialled`,
      {
        tried: tried.map(String),
        next: 'see who is a member with: ggen-node members'
      }
    )
  }
  for (let tries = 1; ; tries++) {
    const before = new Set(host.getConnections())
    const connection = await opened(host, address, { signal, hurry, peer: named })
    const peer = connection.remotePeer.toString()
    const verdict = await inTime(host.services.hello.verdict(connection), signal)
    if (verdict === undefined) throw refusalError({ accepted: false, reason: 'silent' }, peer, tried.map(String))
    if (verdict.accepted) return peer
    // libp2p hands out a connection that it has already. It may have been the other side's, about to close; or what was
    // said on it was true before: who has become a guest or a member since then was refused as what it was.
    const isOlder = verdict.reason === 'closed' || connection.direction === 'inbound' || before.has(connection)
    if (!isOlder || tries >= LIMITS.connections.helloTries) throw refusalError(verdict, peer, tried.map(String))
    await untilClosed(connection, signal)
  }
}

/** Whoever is not waited for any longer may introduce himself later still. */
async function inTime(verdict: Promise<HelloVerdict>, signal: AbortSignal): Promise<HelloVerdict | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const onAbort = (): void => resolve(undefined)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const settled = await Promise.race([verdict, promise])
  signal.removeEventListener('abort', onAbort)
  return settled
}

/** Until it is closed libp2p would hand it out again. */
async function untilClosed(connection: Connection, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.connections.closeMs)])
  await connection.close({ signal: patience }).catch((error: Error) => connection.abort(error))
  signal.throwIfAborted()
}

interface Reason {
  readonly code: ErrorCode
  /** What comes after the peer's name. */
  readonly text: string
  readonly next: string
}

/** What a person reads of each reason, when the other side gave it and when we did. */
const REASONS: Readonly<Record<HelloRefusal, { readonly them: Reason; readonly us: Reason }>> = {
  'not-a-member': {
    them: {
      code: 'NOT_AUTHORIZED',
      text: 'does not let this node in: its key is no member of the swarm',
      next: 'ask an owner for an invite, then: ggen-node join TOKEN'
    },
    us: {
      code: 'NOT_AUTHORIZED',
      text: 'was not let in: it runs under a key that is no member of the swarm',
      next: 'see who is a member with: ggen-node members'
    }
  },
  expired: {
    them: {
      code: 'NOT_AUTHORIZED',
      text: "does not let this node in: its certificate, or its member's role, has expired",
      next: 'connect to the node of an owner or curator that knows this one, or ask an owner for a new invite'
    },
    us: {
      code: 'NOT_AUTHORIZED',
      text: "was not let in: its certificate, or its member's role, has expired",
      next: 'have an owner grant the role again, or let that node connect to the node of an owner or curator'
    }
  },
  'invite-over': {
    them: {
      code: 'NOT_AUTHORIZED',
      text: 'does not let this node in: the invite by which it joined is over, and nobody has certified it meanwhile',
      next: 'ask an owner for a new invite, then: ggen-node join TOKEN'
    },
    us: {
      code: 'NOT_AUTHORIZED',
      text: 'was not let in: the invite by which it joined is over, and nobody has certified it meanwhile',
      next: 'have an owner make a new invite for it: ggen-node invite'
    }
  },
  'unknown-issuer': {
    them: {
      code: 'NOT_AUTHORIZED',
      text: 'does not let this node in: whoever issued its certificate may not do so, as far as is known there',
      next: 'connect to the node of an owner or curator, who can issue another'
    },
    us: {
      code: 'NOT_AUTHORIZED',
      text: 'was not let in: whoever issued its certificate may not do so, as far as is known here',
      next: 'try again when this node has caught up with the registry, or have an owner certify that node again'
    }
  },
  'unknown-peer': {
    them: {
      code: 'NOT_AUTHORIZED',
      text: 'does not know this node, and this node does not know it: neither says first who it is',
      next: 'connect to a node that this one knows, or write the address of the other, with its peer id, into the configuration'
    },
    us: {
      code: 'NOT_AUTHORIZED',
      text: 'is not known to this node, and did not say first who it is',
      next: 'write the address of the other node, with its peer id, into the configuration'
    }
  },
  'no-common-version': {
    them: {
      code: 'PEER_INCOMPATIBLE',
      text: 'speaks no protocol version that this node speaks',
      next: 'update the older of the two nodes'
    },
    us: {
      code: 'PEER_INCOMPATIBLE',
      text: 'speaks no protocol version that this node speaks',
      next: 'update the older of the two nodes'
    }
  },
  'too-busy': {
    them: { code: 'PEER_SILENT', text: 'has too much to do', next: 'try again later' },
    us: { code: 'PEER_SILENT', text: 'was not let in: this node has too much to do', next: 'try again later' }
  }
}

const FAILURES: Readonly<Record<HelloFailure, Reason>> = {
  'no-secret': {
    code: 'PEER_SILENT',
    text: 'did not answer to the secret of this swarm',
    next: 'check that it is a host of this swarm; if the secret was rotated while this node was away, ask for a new token'
  },
  silent: silence('silent'),
  closed: silence('closed'),
  malformed: silence('malformed')
}

function silence(reason: string): Reason {
  return {
    code: 'PEER_SILENT',
    text: `was reached but not accepted: ${reason}`,
    next: 'check that a ggen-node of the same swarm listens there'
  }
}

function refusalError(
  verdict: HelloVerdict & { accepted: false },
  peer: string,
  tried: readonly string[]
): RegistryError {
  const { code, text, next } = 'by' in verdict ? REASONS[verdict.reason][verdict.by] : FAILURES[verdict.reason]
  return new RegistryError(code, `${peer} ${text}`, { tried, next, detail: { reason: verdict.reason } })
}

async function opened(
  host: Host,
  address: Multiaddr | Multiaddr[] | PeerId,
  {
    signal,
    hurry,
    peer
  }: { readonly signal: AbortSignal; readonly hurry: Clock | undefined; readonly peer: string | undefined }
): Promise<Connection> {
  if (peer === undefined) return await openConnection(host, address, { signal })
  let clock = hurry
  let [isAgain, hasLeft] = [false, false]
  for (;;) {
    const dial = new DialInTurn(clock, host, peer)
    try {
      return await openConnection(host, address, { signal, onProgress: dial.onProgress })
    } catch (error) {
      hasLeft ||= dial.hasLeft
      if (signal.aborted) throw error
      if (dial.hasJoined && !isAgain) {
        isAgain = true
      } else if (hasLeft && clock !== undefined) {
        // Whoever is far away, or whose first packet was lost, has not had the time for an answer.
        clock = undefined
      } else throw error
    } finally {
      dial.stop()
    }
  }
}

async function openConnection(
  host: Host,
  address: Multiaddr | Multiaddr[] | PeerId,
  options: NonNullable<Parameters<Host['dial']>[1]>
): Promise<Connection> {
  try {
    return await host.dial(address, options)
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('PEER_UNREACHABLE', `no connection to ${String(address)}: ${messageOf(cause)}`, {
      cause,
      tried: [address].flat().map(String),
      next: 'check the address and that the node runs'
    })
  }
}
