import type { BackupRecord } from '../protocol/backup.ts'
import type { KeyValue } from '../storage/key-value.ts'
import type { Home } from '../storage/home.ts'
import { SwarmRecords } from '../storage/swarm-records.ts'
import type { Changes } from './changes.ts'
import type { Network } from './network.ts'
import type { Registries } from './registries.ts'
import type { Spaces } from './spaces.ts'

export interface PrivateSwarmsInit {
  readonly home: Home
}

export interface PrivateSwarmsComponents {
  readonly kv: KeyValue
  readonly registries: Registries
  readonly spaces: Spaces
  readonly changes: Changes
}

/** What is kept of a private swarm. */
export type SwarmRecord = Awaited<ReturnType<SwarmRecords['read']>>

/** The private swarms of this node: what is kept of them, who is a member, and their hosts. */
export class PrivateSwarms {
  readonly #init: PrivateSwarmsInit
  readonly #components: PrivateSwarmsComponents
  readonly #stores = new Map<string, SwarmRecords>()

  constructor(init: PrivateSwarmsInit, components: PrivateSwarmsComponents) {
    this.#init = init
    this.#components = components
  }

  async load(): Promise<void> {
    for (const name of await SwarmRecords.names(this.#components.kv)) this.#stores.set(name, this.#storeOf(name))
  }

  async start(_network: Network): Promise<void> {}

  async stop(): Promise<void> {}

  /** What is kept of a private swarm; undefined for the public one. */
  async recordOf(name: string): Promise<SwarmRecord | undefined> {
    return this.#stores.get(name)?.read()
  }

  async restore(_record: Extract<BackupRecord, { type: 'private' }>): Promise<void> {}

  #storeOf(name: string): SwarmRecords {
    return new SwarmRecords(this.#components.kv, { keys: this.#init.home.paths.keys, name })
  }
}
