import { noise } from '@libp2p/noise'
import type { MessageStream, SecuredConnection } from '@libp2p/interface'
import type { Recording } from './recording.ts'

type Noise = ReturnType<typeof noise>
type Secured = SecuredConnection<object>

let connections = 0

/**
 * noise that writes down every byte it has decrypted, before any muxer, limit or handler sees it: what arrives on a stream
 * that was refused, or after it was closed, is written down too.
 */
export function recordingNoise(recording: Recording, ...args: Parameters<typeof noise>): Noise {
  const factory = noise(...args)
  return components => {
    const inner = factory(components)
    const secureInbound = inner.secureInbound.bind(inner)
    const secureOutbound = inner.secureOutbound.bind(inner)
    return Object.assign(inner, {
      secureInbound: async (...given: Parameters<typeof secureInbound>) =>
        tapped(recording, 'inbound', await secureInbound(...given)),
      secureOutbound: async (...given: Parameters<typeof secureOutbound>) =>
        tapped(recording, 'outbound', await secureOutbound(...given))
    })
  }
}

/** What is read of a libp2p stream beyond its interface. */
interface Insides {
  readonly readBuffer: { subarray(): Uint8Array }
  onData(data: Uint8Array | { subarray(): Uint8Array }): void
}

function tapped<S extends Secured>(recording: Recording, direction: string, secured: S): S {
  const { connection, remotePeer } = secured
  const channel = `muxed ${process.pid}-${(connections += 1)} ${direction} ${remotePeer.toString()}`
  const insides = insidesOf(connection)
  // What came with the last message of the handshake is decrypted before anybody can listen.
  const early = insides.readBuffer.subarray()
  recording.write(channel, early)
  const take = insides.onData.bind(connection)
  insides.onData = data => {
    recording.write(channel, data.subarray())
    take(data)
  }
  return secured
}

function insidesOf(connection: MessageStream): Insides {
  const insides = connection as unknown as Insides
  // An update of the library that moves them must not make the witness blind.
  if (typeof insides.onData !== 'function' || typeof insides.readBuffer.subarray !== 'function') {
    throw new Error('a libp2p stream no longer keeps its data where it can be watched')
  }
  return insides
}
