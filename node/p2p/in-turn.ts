import type { Connection, Transport, Upgrader } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** An address that is being dialled. */
interface Opening {
  readonly isOpen: () => boolean
  readonly leave: () => void
  /** Somebody waits for it who is in no hurry. */
  isWaitedFor: boolean
}

/** What is being dialled by one host, by peer. */
export type Openings = Map<string, Set<Opening>>

/** What libp2p tells of a dial, and the transports below. */
interface DialEvent {
  readonly type: string
  readonly detail?: unknown
}

const OPENING = 'ggen:opening'
const openingsOf = new WeakMap<object, Openings>()

/** Lets the dials of a host be hurried whose transports note their openings here. */
export function noteOpenings(host: object, openings: Openings): void {
  openingsOf.set(host, openings)
}

/**
 * One dial to a peer of several addresses, mostly by somebody who has little time. libp2p dials them one after the other, and has a
 * deadline for each that a busy machine needs for its handshake; where no packet is answered there is no socket either, and
 * the next address is dialled. What is open is not hurried, nor is the last address, nor what somebody waits for who is in no
 * hurry: a dial that two have joined is one.
 *
 * Somebody else may have begun the dial, as the DHT does: then nobody says which address is the last, and a dial that failed
 * since is to be begun once more. So is one that left an address, in no hurry: whoever is far away may be there.
 */
export class DialInTurn {
  readonly #clock: Clock | undefined
  readonly #openings: Openings | undefined
  readonly #peer: string
  #left = 0
  #cancel = (): void => undefined
  #hasJoined = false
  #hasLeft = false

  /** @param clock of somebody in a hurry */
  constructor(clock: Clock | undefined, host: object, peer: string) {
    this.#clock = clock
    this.#openings = openingsOf.get(host)
    this.#peer = peer
  }

  get hasJoined(): boolean {
    return this.#hasJoined
  }

  /** An address was left where there might have been an answer. */
  get hasLeft(): boolean {
    return this.#hasLeft
  }

  readonly onProgress = ({ type, detail }: DialEvent): void => {
    switch (type) {
      case 'dial-queue:already-in-dial-queue':
        this.#hasJoined = true
        this.#left = Number.POSITIVE_INFINITY
        for (const opening of this.#openings?.get(this.#peer) ?? []) this.#hurry(opening)
        break
      case 'dial-queue:calculated-addresses':
        this.#left = Array.isArray(detail) ? detail.length : 0
        break
      case 'transport-manager:selected-transport':
        this.#left -= 1
        this.#cancel()
        break
      case OPENING:
        if (this.#left > 0 || this.#clock === undefined) this.#hurry(detail as Opening)
    }
  }

  stop(): void {
    this.#cancel()
  }

  #hurry(opening: Opening): void {
    this.#cancel()
    if (this.#clock === undefined) {
      opening.isWaitedFor = true
      return
    }
    const onLate = (): void => {
      if (opening.isOpen() || opening.isWaitedFor) return
      this.#hasLeft = true
      opening.leave()
    }
    // A process that had no turn hears first what has happened meanwhile.
    this.#cancel = this.#clock.after(LIMITS.connections.addressOpenMs, () => void setImmediate(onLate))
  }
}

/** A transport that notes each address while it is being dialled, and tells of it. */
export function noting<Components>(
  create: (components: Components) => Transport,
  openings: Openings
): (components: Components) => Transport {
  return components => {
    const transport = create(components)
    const dial = transport.dial.bind(transport)
    transport.dial = async (address: Multiaddr, options): Promise<Connection> => {
      const peer = address.getComponents().findLast(({ name }) => name === 'p2p')?.value ?? ''
      const left = new AbortController()
      let isOpen = false
      const upgradeOutbound: typeof options.upgrader.upgradeOutbound = async (...all) => {
        isOpen = true
        return await options.upgrader.upgradeOutbound(...all)
      }
      const upgrader = Object.create(options.upgrader, { upgradeOutbound: { value: upgradeOutbound } }) as Upgrader
      const opening: Opening = { isOpen: () => isOpen, leave: () => left.abort(), isWaitedFor: false }
      const ofPeer = openings.get(peer) ?? new Set()
      openings.set(peer, ofPeer.add(opening))
      ;(options.onProgress as ((event: DialEvent) => void) | undefined)?.(new CustomEvent(OPENING, { detail: opening }))
      const signal = AbortSignal.any([options.signal, left.signal])
      try {
        return await dial(address, { ...options, signal, upgrader } as typeof options)
      } finally {
        ofPeer.delete(opening)
        if (ofPeer.size === 0 && openings.get(peer) === ofPeer) openings.delete(peer)
      }
    }
    return transport
  }
}
