import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { CID } from 'multiformats/cid'
import type { NodeParts } from '../../../node/parts.ts'
import { parseRegistryId } from '../../../protocol/cid.ts'

/** A leak that is planted in a running node, to see that it is found. Each is a mistake that somebody could make. */
export type Plant =
  /** The private registry is followed in the public swarm, too. */
  | { readonly plant: 'follow'; readonly registry: string }
  /** Somebody subscribes on the wrong host. */
  | { readonly plant: 'topic'; readonly topic: string }
  /** A private root is announced in the public DHT, or looked for there. */
  | { readonly plant: 'provide' | 'look-up'; readonly cid: string }
  /** Private bytes are asked for in the public swarm. */
  | { readonly plant: 'want'; readonly cid: string }
  /** The public bitswap reads the private blocks. */
  | { readonly plant: 'blocks' }
  /** The public host answers to the private DHT's name. */
  | { readonly plant: 'protocol'; readonly protocol: string }
  | { readonly plant: 'dial'; readonly host: string; readonly port: number }
  | { readonly plant: 'dns'; readonly name: string }
  /** A page for everybody who finds its port. */
  | { readonly plant: 'page'; readonly host: string; readonly port: number; readonly text: string }
  /** The local network is told. */
  | { readonly plant: 'mdns'; readonly text: string }

/** Does it. Resolves when it was begun. */
export async function plant(parts: NodeParts, order: Plant): Promise<void> {
  const swarm = parts.network()
  switch (order.plant) {
    case 'follow':
      return swarm.follow(parseRegistryId(order.registry))
    case 'topic':
      return swarm.libp2p.services.pubsub.subscribe(order.topic)
    case 'provide':
      return swarm.provide(CID.parse(order.cid))
    case 'look-up':
      return void (await swarm.findProviders(CID.parse(order.cid)))
    case 'want': {
      const session = swarm.fetch(undefined)
      return void session.block(CID.parse(order.cid)).catch(() => session.close())
    }
    case 'blocks':
      return shareBlocks(parts)
    case 'protocol':
      return await swarm.libp2p.handle(order.protocol, stream => stream.abort(new Error('nobody is here')))
    case 'dial':
      return void connect({ host: order.host, port: order.port }).on('error', () => {})
    case 'dns':
      return void lookup(order.name).catch(() => {})
    case 'page': {
      const server = createServer((_, response) => response.end(order.text))
      return void server.listen(order.port, order.host).unref()
    }
    case 'mdns': {
      const socket = createSocket('udp4')
      return socket.send(order.text, 5353, '224.0.0.251', () => socket.close())
    }
  }
}

/** What somebody would do who wants to save disk. */
function shareBlocks({ spaces }: NodeParts): void {
  const { blocks } = spaces.public
  const others = spaces.all.filter(({ name }) => name !== spaces.public.name).map(space => space.blocks)
  const own = { has: blocks.has.bind(blocks), get: blocks.get.bind(blocks) }
  const holder = async (...args: Parameters<typeof own.has>): Promise<typeof own | undefined> => {
    for (const store of others) if (await store.has(...args)) return store
    return undefined
  }
  Object.assign(blocks, {
    has: async (...args: Parameters<typeof own.has>) =>
      (await own.has(...args)) || (await holder(...args)) !== undefined,
    get: async function* (...args: Parameters<typeof own.get>) {
      yield* ((await holder(args[0])) ?? own).get(...args)
    }
  })
}
