import { withBitswap } from '@helia/bitswap'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import { createLibp2p } from 'libp2p'
import type { Blockstore } from '../../node/p2p/components.ts'
import type { RemoteBlocks } from '../../node/content-fetch.ts'
import { withLibp2p } from '../../node/p2p/helia.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'

/** Helia with bitswap, and no setting of ours. */
export interface StockHelia {
  address(): string
  /** Connects, and returns when the other side is known to speak bitswap. */
  connect(address: string): Promise<string>
  /** Block by block from this peer alone, as its sessions do it. */
  from(peer: string): RemoteBlocks
  stop(): Promise<void>
}

const PATIENCE_MS = 60_000

export async function openHelia(blocks: VerifiedBlocks): Promise<StockHelia> {
  const libp2p = await createLibp2p({
    start: false,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify() }
  })
  const helia = withLibp2p(createHeliaLight({ blockstore: blocks as unknown as Blockstore }), libp2p)
  withBitswap(helia as unknown as Parameters<typeof withBitswap>[0])
  await helia.start()
  return {
    address: () => libp2p.getMultiaddrs()[0]?.toString() ?? '',
    connect: async address => {
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const { remotePeer } = await libp2p.dial(multiaddr(address), { signal })
      const isKnown = async (): Promise<boolean> =>
        (await libp2p.peerStore.get(remotePeer)).protocols.some(name => name.includes('bitswap'))
      while (!(await isKnown())) {
        signal.throwIfAborted()
        await new Promise(resolve => setTimeout(resolve, 5))
      }
      return remotePeer.toString()
    },
    from: peer => ({
      open: () => {
        let session: ReturnType<typeof helia.blockstore.createSession> | undefined
        return {
          content: () => Promise.resolve({ stored: [], bytes: 0 }),
          block: async (cid, { signal }) => {
            session ??= helia.blockstore.createSession(cid, {
              providers: [peerIdFromString(peer).toCID()],
              maxProviders: 1
            })
            const both = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)])
            const parts: Uint8Array[] = []
            for await (const part of session.get(cid, { signal: both })) parts.push(part)
            return Buffer.concat(parts)
          },
          close: () => session?.close()
        }
      }
    }),
    stop: async () => {
      await helia.stop()
    }
  }
}
