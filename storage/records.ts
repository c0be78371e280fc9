import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parseRegistryId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** A registry that is followed here. */
export interface FollowedRegistry {
  readonly id: RegistryId
  readonly alias: string
  readonly isDefault: boolean
}

/** How far another node's fact log was read. */
export interface StoredCursor {
  readonly epoch: string
  readonly after: number
}

/**
 * Small records beside the facts, in the same store:
 *
 *   registry!<id>             -> {alias, isDefault}
 *   cursor!<registry>!<peer>  -> {epoch, after}
 *   kept!<content root>       -> empty: every block below it is here and durable
 *   dial!<peer address>       -> empty: stay connected to it
 *   chain!own                 -> the chain that our own facts in this store were written under
 */
export class Records {
  readonly #kv: KeyValue
  /** Keys of all cursors, least recently used first. */
  #cursors: Promise<Set<string>> | undefined

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async registries(): Promise<readonly FollowedRegistry[]> {
    const found: FollowedRegistry[] = []
    for await (const [key, value] of this.#kv.iterate({ gte: 'registry!', lt: 'registry!~' })) {
      const { alias, isDefault } = recordOf(decodeCbor(value, 1), ['alias', 'isDefault'])
      if (typeof alias !== 'string' || typeof isDefault !== 'boolean') throw corrupt('registry')
      found.push({ id: parseRegistryId(key.slice('registry!'.length)), alias, isDefault })
    }
    return found
  }

  /** Writes records of registries together: making one the default takes it from another. */
  async putRegistries(registries: readonly FollowedRegistry[]): Promise<void> {
    const ops = registries.map(({ id, alias, isDefault }): KeyValueOp => {
      return { type: 'put', key: `registry!${id}`, value: encodeCbor({ alias, isDefault }) }
    })
    await this.#kv.batch(ops, { sync: true })
  }

  /** A registry is no longer followed; its facts stay. `others` are written with it: one of them may become the default. */
  async unfollow(registry: RegistryId, others: readonly FollowedRegistry[] = []): Promise<void> {
    const puts = others.map(({ id, alias, isDefault }): KeyValueOp => {
      return { type: 'put', key: `registry!${id}`, value: encodeCbor({ alias, isDefault }) }
    })
    await this.#kv.batch([{ type: 'del', key: `registry!${registry}` }, ...puts], { sync: true })
  }

  async chain(): Promise<string | undefined> {
    const value = await this.#kv.get('chain!own')
    return value === undefined ? undefined : new TextDecoder().decode(value)
  }

  /** Durable before it returns: no fact of the new chain may come before. */
  async putChain(chain: string): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: 'chain!own', value: new TextEncoder().encode(chain) }], { sync: true })
  }

  async cursor(registry: RegistryId, peer: string): Promise<StoredCursor | undefined> {
    const key = `cursor!${registry}!${peer}`
    const value = await this.#kv.get(key)
    if (value === undefined) return undefined
    touch(await this.#cursorKeys(), key)
    const { epoch, after } = recordOf(decodeCbor(value, 1), ['epoch', 'after'])
    if (typeof epoch !== 'string' || typeof after !== 'number') throw corrupt('cursor')
    return { epoch, after }
  }

  async putCursor(registry: RegistryId, peer: string, { epoch, after }: StoredCursor): Promise<void> {
    const key = `cursor!${registry}!${peer}`
    const keys = await this.#cursorKeys()
    touch(keys, key)
    const ops: KeyValueOp[] = [{ type: 'put', key, value: encodeCbor({ epoch, after }) }]
    // Attack: a peer id costs nothing, and each leaves a cursor. The one that was used longest ago goes: a second reading.
    for (const oldest of keys) {
      if (keys.size <= LIMITS.peers.cursors || ops.length > LIMITS.peers.cursors) break
      keys.delete(oldest)
      ops.push({ type: 'del', key: oldest })
    }
    await this.#kv.batch(ops)
  }

  #cursorKeys(): Promise<Set<string>> {
    this.#cursors ??= this.#readCursorKeys().catch((error: unknown) => {
      this.#cursors = undefined
      throw error
    })
    return this.#cursors
  }

  async #readCursorKeys(): Promise<Set<string>> {
    const keys = new Set<string>()
    for await (const [key] of this.#kv.iterate({ gte: 'cursor!', lt: 'cursor!~', keysOnly: true })) keys.add(key)
    return keys
  }

  /** Reads everybody's log from the beginning again: after a loss, what is missing is offered once more. */
  async forgetCursors(registry: RegistryId): Promise<void> {
    const prefix = `cursor!${registry}!`
    const ops: KeyValueOp[] = []
    for await (const [key] of this.#kv.iterate({ gte: prefix, lt: `${prefix}~`, keysOnly: true }))
      ops.push({ type: 'del', key })
    const keys = await this.#cursorKeys()
    for (const { key } of ops) keys.delete(key)
    for (let from = 0; from < ops.length; from += LIMITS.peers.cursors) {
      await this.#kv.batch(ops.slice(from, from + LIMITS.peers.cursors))
    }
  }

  async isKept(root: ContentId): Promise<boolean> {
    return this.#kv.has(`kept!${root}`)
  }

  async markKept(root: ContentId): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: `kept!${root}`, value: new Uint8Array(0) }])
  }

  /** A block below it turned out to be damaged or missing. */
  async forgetKept(root: ContentId): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: `kept!${root}` }])
  }

  async *kept(): AsyncGenerator<ContentId> {
    for await (const [key] of this.#kv.iterate({ gte: 'kept!', lt: 'kept!~', keysOnly: true })) {
      yield key.slice('kept!'.length) as ContentId
    }
  }

  async dialled(): Promise<readonly string[]> {
    const addresses: string[] = []
    for await (const [key] of this.#kv.iterate({
      gte: 'dial!',
      lt: 'dial!~',
      limit: LIMITS.peers.bootstrap,
      keysOnly: true
    })) {
      addresses.push(key.slice('dial!'.length))
    }
    return addresses
  }

  async putDialled(address: string): Promise<void> {
    const known = await this.dialled()
    if (known.includes(address) || known.length >= LIMITS.peers.bootstrap) return
    await this.#kv.batch([{ type: 'put', key: `dial!${address}`, value: new Uint8Array(0) }], { sync: true })
  }
}

/** Makes a key the one that was used last. */
function touch(keys: Set<string>, key: string): void {
  keys.delete(key)
  keys.add(key)
}

function corrupt(what: string): RegistryError {
  return new RegistryError('STORE_CORRUPT', `a ${what} record cannot be read`, { next: 'run ggen-node doctor' })
}
