import type { Multiaddr } from '@multiformats/multiaddr'
import type { BootstrapPeer } from './assertions.ts'
import { Company } from './company.ts'
import type { SwarmComponents, SwarmTuning } from './components.ts'
import { dial } from './dial.ts'
import { Dialer } from './dialer.ts'
import type { Host } from './libp2p.ts'
import { hasSpoken } from './meter.ts'
import type { Peers } from './peers.ts'
import { Rejoiner } from './rejoin.ts'
import type { RememberedPeers } from './remembered.ts'

export interface DiallingInit {
  readonly bootstrap: readonly BootstrapPeer[]
  readonly peers: Pick<Peers, 'get' | 'all'>
  readonly remembered: RememberedPeers
  readonly tuning: SwarmTuning
  readonly host: () => Host
}

export interface Dialling {
  readonly dialer: Dialer
  readonly rejoiner: Rejoiner
  readonly company: Company
}

/** Who dials peers that are known, and who asks for it while nobody is here. */
export function diallingOf(
  { clock, log, membership }: Pick<SwarmComponents, 'clock' | 'log' | 'membership'>,
  { bootstrap, peers, remembered, tuning, host }: DiallingInit
): Dialling {
  const isConnected = (peer: string): boolean => peers.get(peer) !== undefined
  const count = (): number => peers.all().length
  const dialled = async (address: Multiaddr | Multiaddr[], signal: AbortSignal): Promise<void> =>
    void (await dial(host(), address, { membership, signal, hurry: clock }))
  const rejoiner = new Rejoiner({ clock, log, remembered, isConnected, peers: count, dial: dialled })
  const dialer = new Dialer(bootstrap, {
    clock,
    log,
    tuning,
    isConnected,
    dial: async ({ address }, signal) => await dialled(address, signal)
  })
  const company = new Company({ clock, hasSpoken, isAlone: () => count() === 0, dialling: [dialer, rejoiner] })
  return { dialer, rejoiner, company }
}
