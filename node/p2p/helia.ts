import type { Helia, Router } from '@helia/interface'
import { withBitswap } from '@helia/bitswap'
import * as dagCbor from '@ipld/dag-cbor'
import type { ComponentLogger, Libp2p, PeerInfo } from '@libp2p/interface'
import { peerIdFromCID } from '@libp2p/peer-id'
import { createHeliaLight } from 'helia'
import { LIMITS } from '../../protocol/limits.ts'
import { boundBitswap } from './bitswap-serving.ts'
import type { Blockstore, Clock, Datastore, Log } from './components.ts'
import type { Host } from './libp2p.ts'

export type HeliaHost = Helia & { readonly libp2p: Host }

export interface HeliaInit {
  readonly datastore: Datastore
  readonly blockstore: Blockstore
  readonly logger: ComponentLogger
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Log, 'debug'>
}

/** Helia over our own host: its light form, because the full one adds public gateways, routers and bootstrap peers. */
export function createHelia(host: Host, { clock, log, ...stores }: HeliaInit): HeliaHost {
  const helia = createHeliaLight({ ...stores, codecs: [dagCbor] })
  const { streams, bitswap } = LIMITS
  const networked = withLibp2p(helia, host)
  // Helia's defaults are 1,024 streams each way, and each size falls back to the default of the other.
  const settings = {
    maxInboundStreams: streams.bitswap,
    maxOutboundStreams: streams.bitswap,
    maxIncomingMessageSize: bitswap.messageBytes,
    maxOutgoingMessageSize: bitswap.messageBytes,
    // Fewer than streams: what comes while all are busy is merged into one message instead of failing for want of a stream.
    messageSendConcurrency: streams.bitswap / 2,
    // As its types spell it, and as its code does.
    maxWantlistSize: bitswap.wantsPerPeer,
    maxWantListSize: bitswap.wantsPerPeer
  }
  withBitswap(networked as unknown as Parameters<typeof withBitswap>[0], settings)
  const add = networked.addBlockBroker.bind(networked)
  networked.addBlockBroker = broker => {
    boundBitswap(broker, { blocks: stores.blockstore, clock, log })
    add(broker)
  }
  return networked
}

/** Helia with a host. */
export function withLibp2p<H extends Libp2p>(helia: Helia, libp2p: H): Helia & { readonly libp2p: H } {
  helia.addRouter(libp2pRouter(libp2p))
  helia.addMixin({ name: 'libp2p', start: async () => await libp2p.start(), stop: async () => await libp2p.stop() })
  return Object.assign(helia, { libp2p })
}

function libp2pRouter(libp2p: Libp2p): Router {
  const name = 'libp2p-router'
  const toPeer = (info: PeerInfo) => ({ ...info, id: info.id.toCID(), router: name })
  return {
    name,
    provide: async (cid, options) => await libp2p.contentRouting.provide(cid, options),
    cancelReprovide: async (cid, options) => await libp2p.contentRouting.cancelReprovide(cid, options),
    async *findProviders(cid, options) {
      // A bitswap session whose only peer has not got the block goes looking for others; fetch.ts does that itself.
      if (options?.useNetwork === false) return
      for await (const info of libp2p.contentRouting.findProviders(cid, options))
        yield { ...toPeer(info), fallback: false }
    },
    put: async (key, value, options) => await libp2p.contentRouting.put(key, value, options),
    get: async (key, options) => (await libp2p.contentRouting.get(key, options)) as Uint8Array<ArrayBuffer>,
    findPeer: async (id, options) => toPeer(await libp2p.peerRouting.findPeer(peerIdFromCID(id), options)),
    async *getClosestPeers(key, options) {
      for await (const info of libp2p.peerRouting.getClosestPeers(key, options)) yield toPeer(info)
    }
  }
}
