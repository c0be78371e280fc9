import type { CID } from 'multiformats/cid'
import { isRegistryError } from '../protocol/errors.ts'
import { standingOf } from '../protocol/membership/members.ts'
import { DAG_PB, RAW } from '../protocol/unixfs-node.ts'
import { isStorable } from '../storage/verified-blocks.ts'
import type { Config } from './config.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import { GatewayTokens } from './gateway-tokens.ts'
import { gatewayRoute } from './http/gateway.ts'
import type { Shelf, Sight } from './http/gateway.ts'
import { parseHttpAddress } from './http/http-address.ts'
import { openListener } from './http/listener.ts'
import type { Listener, Route } from './http/listener.ts'
import { metricsRoute } from './http/metrics-route.ts'
import type { NodeMeter } from './meter.ts'
import type { Reach } from './reach.ts'
import type { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'
import type { Spaces } from './spaces.ts'

export interface GatewayComponents {
  readonly home: string
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly spaces: Spaces
  readonly registries: Registries
  readonly gate: Gate
  readonly reach: Pick<Reach, 'in'>
  readonly meter: NodeMeter
  /** Everything that is counted, as Prometheus reads it. */
  readonly metrics: () => Promise<string>
}

/** A port with plain HTTP, and what it answers. */
export interface ShownListener {
  readonly address: string
  readonly serves: readonly ('gateway' | 'metrics')[]
  /** Only programs of this machine reach it. */
  readonly isLocal: boolean
}

/**
 * What this node answers over plain HTTP: packages, to whoever asks, and its numbers. Each swarm has a shelf of its own, made
 * of its own store and its own registries: like a host, it shows nothing of another one.
 */
export class Gateway {
  readonly tokens: GatewayTokens
  readonly #components: GatewayComponents
  #listeners: readonly (Listener & Pick<ShownListener, 'serves'>)[] = []

  constructor(components: GatewayComponents) {
    this.#components = components
    this.tokens = new GatewayTokens(components.home)
  }

  /** @throws RegistryError PORT_IN_USE | USAGE | UNSAFE_PERMISSIONS */
  async open(): Promise<void> {
    const { gateway, metrics } = this.#components.config.http
    if (gateway !== '') await this.tokens.load()
    // Any free port, said twice, is two of them.
    const isShared = metrics === gateway && parseHttpAddress(gateway)?.port !== 0
    if (gateway !== '') await this.#listen(gateway, isShared ? ['gateway', 'metrics'] : ['gateway'])
    if (metrics !== '' && !isShared) await this.#listen(metrics, ['metrics'])
  }

  get listening(): readonly ShownListener[] {
    return this.#listeners.map(({ address, serves, isLocal }) => ({ address, serves, isLocal }))
  }

  async close(): Promise<void> {
    await Promise.all(this.#listeners.map(listener => listener.close()))
    this.#listeners = []
  }

  async #listen(text: string, serves: ShownListener['serves']): Promise<void> {
    const { clock, log, meter, metrics } = this.#components
    const address = parseHttpAddress(text)
    if (address === undefined) return
    const init = {
      open: this.#shelf(PUBLIC_SWARM, () => true),
      ofToken: (token: string) => this.#shelfOfToken(token),
      clock,
      onAnswer: meter.answered.bind(meter)
    }
    const listener = await openListener({
      address,
      clock,
      routes: (turnstile, isLocal): readonly Route[] => [
        ...(serves.includes('gateway') ? [gatewayRoute(init, turnstile, isLocal)] : []),
        ...(serves.includes('metrics') ? [metricsRoute(metrics)] : [])
      ],
      onFault: error => {
        if (isRegistryError(error) && error.code !== 'INTERNAL') log.debug({ error }, 'an answer over http ended early')
        else log.error({ error }, 'an answer over http failed')
      }
    })
    this.#listeners = [...this.#listeners, { ...listener, serves }]
  }

  /** What a member may see, as long as it is one: asked again with every block. */
  #shelfOfToken(token: string): Shelf | undefined {
    const { clock, gate, registries } = this.#components
    const pass = this.tokens.open(token, clock.now())
    const swarm = registries.all.find(({ id }) => id === pass?.registry)?.swarm
    if (pass === undefined || swarm === undefined || swarm === PUBLIC_SWARM) return undefined
    const isGood = (): boolean => {
      const authority = gate.state(pass.registry)?.authority
      const now = clock.now()
      return pass.expires > now && authority !== undefined && standingOf(authority, pass.member, now) === 'member'
    }
    if (!isGood()) return undefined
    return either(
      this.#shelf(swarm, isGood),
      this.#shelf(PUBLIC_SWARM, () => true)
    )
  }

  #shelf(swarm: string, isGood: () => boolean): Shelf {
    const { spaces } = this.#components
    const isOpen = (): boolean => isGood() && spaces.all.some(({ name }) => name === swarm)
    return {
      look: async (cid, signal) => (isOpen() ? this.#look(swarm, cid, signal) : 'absent'),
      read: async (cid, signal) => {
        if (!isOpen()) return undefined
        try {
          return await spaces.named(swarm).blocks.read(cid, { signal })
        } catch (error) {
          // Withheld, or damaged and set aside just now: to whoever asks it is not here.
          if (isRegistryError(error) && (error.code === 'TAKEN_DOWN' || error.code === 'CORRUPT_BLOCK'))
            return undefined
          throw error
        }
      }
    }
  }

  async #look(swarm: string, cid: CID, signal: AbortSignal): Promise<Sight> {
    const { spaces } = this.#components
    // Other hashes and codecs name nothing that a package is made of.
    if (!isStorable(cid) || (cid.code !== RAW && cid.code !== DAG_PB)) return 'absent'
    const space = spaces.named(swarm)
    const isThere = await space.allBlocks.has(cid)
    const reachable = this.#components.reach.in(swarm)
    if (spaces.takedowns.has(cid)) {
      // That it is withheld may be said to those who could have seen it, and to nobody else.
      if (isThere) return 'withheld'
      return (await reachable.isNamed(cid, signal)) ? 'gone' : 'absent'
    }
    return isThere && (await reachable.has(cid, signal)) ? 'here' : 'absent'
  }
}

/** Two shelves as one: what is on either of them. */
function either(first: Shelf, second: Shelf): Shelf {
  return {
    look: async (cid, signal) => {
      const sight = await first.look(cid, signal)
      return sight === 'absent' ? second.look(cid, signal) : sight
    },
    read: async (cid, signal) => (await first.read(cid, signal)) ?? second.read(cid, signal)
  }
}
