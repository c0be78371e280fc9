import { createInterface } from 'node:readline'
import { multiaddr } from '@multiformats/multiaddr'
import { askEverything } from '../leak/questions.ts'
import type { Answer, Rumours } from '../leak/questions.ts'
import { openRecording } from '../leak/recording.ts'
import { strangerHost } from '../leak/stranger-host.ts'
import type { StrangerHost } from '../leak/stranger-host.ts'
import { knockAt, listenToMdns, openPorts, openSink } from '../leak/street.ts'

/** What a stranger is told to do, one line of JSON each; each is answered with one line. See `test/support/leak/stranger.ts`. */
export type Order =
  | {
      readonly do: 'host'
      readonly listen: readonly string[]
      readonly registries: readonly string[]
      /** In hexadecimal: the outer wall of a swarm. */
      readonly psk?: string
    }
  | { readonly do: 'visit'; readonly address: string; readonly greets: boolean; readonly rumours: Rumours }
  | { readonly do: 'knock'; readonly host: string; readonly ports: readonly number[] }
  | { readonly do: 'mdns'; readonly address: string; readonly tags: readonly string[] }
  | { readonly do: 'sink'; readonly address: string; readonly ports: readonly number[] }
  | { readonly do: 'report' }

export interface Visit {
  readonly connected: boolean
  readonly accepted: boolean
  readonly answers: readonly Answer[]
}

export interface Heard {
  /** Registries that anybody named in a hello. */
  readonly registries: readonly string[]
  /** Topics by who said that he listens to them. */
  readonly topics: readonly { readonly peer: string; readonly topics: readonly string[] }[]
  readonly answers: readonly Answer[]
  /** Peers that are known, and what they are known to speak. */
  readonly peers: readonly { readonly id: string; readonly protocols: readonly string[] }[]
}

const recording = openRecording(process.argv[2] ?? '')
let host: StrangerHost | undefined

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'host':
      host = await strangerHost({ recording, ...order })
      return { peerId: host.libp2p.peerId.toString(), addresses: host.libp2p.getMultiaddrs().map(String) }
    case 'visit':
      return await visit(hosted(), order)
    case 'knock': {
      const open = await openPorts(order.host, order.ports)
      for (const port of open) await knockAt(order.host, port, recording)
      return { open }
    }
    case 'mdns':
      await listenToMdns(order.address, order.tags, recording)
      return {}
    case 'sink':
      await openSink(order.address, order.ports, recording)
      return {}
    case 'report':
      return await report(hosted())
  }
}

async function visit(stranger: StrangerHost, order: Order & { readonly do: 'visit' }): Promise<Visit> {
  const { pubsub } = stranger.libp2p.services as unknown as { readonly pubsub: { subscribe(topic: string): void } }
  for (const topic of order.rumours.topics) pubsub.subscribe(topic)
  let connection
  try {
    connection = await stranger.libp2p.dial(multiaddr(order.address), {
      signal: AbortSignal.timeout(60_000),
      force: true
    })
  } catch {
    return { connected: false, accepted: false, answers: [] }
  }
  const accepted = order.greets && (await stranger.greet(connection).catch(() => false))
  const answers = await askEverything(connection, order.rumours)
  // One connection stays, so that he goes on being told.
  if (!accepted || stranger.libp2p.getConnections(connection.remotePeer).length > 1) {
    connection.abort(new Error('the visit is over'))
  }
  return { connected: true, accepted, answers }
}

async function report({ libp2p, hellos, topics, answers }: StrangerHost): Promise<Heard> {
  const peers = await libp2p.peerStore.all()
  return {
    registries: [...new Set(hellos.flatMap(({ registries }) => registries))],
    topics: [...topics].map(([peer, named]) => ({ peer, topics: [...named] })),
    answers,
    peers: peers.map(({ id, protocols }) => ({ id: id.toString(), protocols }))
  }
}

function hosted(): StrangerHost {
  if (host === undefined) throw new Error('the stranger has no host yet')
  return host
}

// What a peer does to a stranger is never his end: he is there to see all of it.
process.on('uncaughtException', error => process.stderr.write(`stranger: ${error.message}\n`))
process.on('unhandledRejection', error => process.stderr.write(`stranger: ${String(error)}\n`))
process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const done = await obey(JSON.parse(line) as Order).catch((error: unknown) => ({ error: String(error) }))
  process.stdout.write(`${JSON.stringify(done)}\n`)
}
process.exitCode = 0
