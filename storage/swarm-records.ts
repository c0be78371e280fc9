import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parsePrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { writeSecretOver } from './key-files.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** The secret before the last rotation. */
interface Previous {
  readonly secret: Uint8Array
  readonly epoch: number
  readonly until: number
}

interface Secrets {
  readonly secret: Uint8Array
  readonly epoch: number
  readonly psk: boolean
  readonly previous: Previous | null
  readonly record: Uint8Array | null
}

interface Row {
  readonly peer: string
  readonly member: Principal
  readonly certificate: Uint8Array | null
  readonly lastSeen: number | null
}

interface Said {
  readonly secrets: Secrets
  readonly certificate: Uint8Array | null
  readonly vouched: readonly string[]
}

/** Where the host of a swarm listened last: it comes back at the same place. */
export type ListenAddresses = readonly string[]

/**
 * What is kept of one private swarm, beside the facts in the same store:
 *
 *   swarm!<name>!secrets      -> {secret, epoch, psk, previous, record}
 *   swarm!<name>!certificate  -> our own, as it was signed
 *   swarm!<name>!vouched      -> [multiaddr] of the token that let us in
 *   swarm!<name>!listen       -> [multiaddr]
 *   roster!<name>!<peer>      -> {member, certificate, lastSeen}
 *
 * The current secret is the key file `secret-<name>` too, for backups to seal. The store is written first and believed;
 * the file is written again at each start.
 */
export class SwarmRecords {
  readonly #kv: KeyValue
  readonly #keys: string
  readonly #name: string

  constructor(kv: KeyValue, { keys, name }: { readonly keys: string; readonly name: string }) {
    this.#kv = kv
    this.#keys = keys
    this.#name = name
  }

  /** The names of all swarms that the store knows. */
  static async names(kv: KeyValue): Promise<readonly string[]> {
    const names: string[] = []
    for await (const [key] of kv.iterate({ gte: 'swarm!', lt: 'swarm!~', keysOnly: true })) {
      const [, name, what] = key.split('!')
      if (name !== undefined && what === 'secrets') names.push(name)
    }
    return names
  }

  /** @throws RegistryError STORE_CORRUPT when there is no such swarm, or what is stored can't be read */
  async read(): Promise<Said> {
    const secrets = await this.#get('secrets', parseSecrets)
    if (secrets === null) throw corrupt()
    await writeSecretOver(this.#keys, keyName(this.#name), secrets.secret)
    return {
      secrets,
      certificate: await this.#get('certificate', bytes => bytes),
      vouched: (await this.#get('vouched', parseAddresses)) ?? []
    }
  }

  async putSecrets(secrets: Secrets): Promise<void> {
    const { secret, epoch, psk, previous, record } = secrets
    await this.#put('secrets', encodeCbor({ secret, epoch, psk, previous, record }))
    await writeSecretOver(this.#keys, keyName(this.#name), secret)
  }

  async putCertificate(certificate: Uint8Array | null): Promise<void> {
    await this.#put('certificate', certificate)
  }

  async putVouched(addresses: readonly string[]): Promise<void> {
    await this.#put('vouched', encodeCbor([...addresses]))
  }

  async listen(): Promise<ListenAddresses> {
    return (await this.#get('listen', parseAddresses)) ?? []
  }

  async putListen(addresses: ListenAddresses): Promise<void> {
    await this.#put('listen', encodeCbor([...addresses]))
  }

  async roster(): Promise<readonly Row[]> {
    const rows: Row[] = []
    const prefix = `roster!${this.#name}!`
    const limit = LIMITS.membership.members
    for await (const [key, value] of this.#kv.iterate({ gte: prefix, lt: `${prefix}~`, limit })) {
      rows.push(parseRow(key.slice(prefix.length), value))
    }
    return rows
  }

  async putRoster(rows: readonly Row[]): Promise<void> {
    const ops = rows.map(({ peer, member, certificate, lastSeen }): KeyValueOp => {
      const value = encodeCbor({ member, certificate, lastSeen })
      return { type: 'put', key: `roster!${this.#name}!${peer}`, value }
    })
    await this.#kv.batch(ops, { sync: true })
  }

  async deleteRoster(peers: readonly string[]): Promise<void> {
    await this.#kv.batch(
      peers.map((peer): KeyValueOp => ({ type: 'del', key: `roster!${this.#name}!${peer}` })),
      { sync: true }
    )
  }

  /** Forgets the swarm. Its key files are for whoever calls. */
  async forget(): Promise<void> {
    const what = ['secrets', 'certificate', 'vouched', 'listen']
    const ops = what.map((part): KeyValueOp => ({ type: 'del', key: `swarm!${this.#name}!${part}` }))
    await this.deleteRoster((await this.roster()).map(({ peer }) => peer))
    await this.#kv.batch(ops, { sync: true })
  }

  async #get<T>(what: string, parse: (bytes: Uint8Array) => T): Promise<T | null> {
    const bytes = await this.#kv.get(`swarm!${this.#name}!${what}`)
    return bytes === undefined ? null : parse(bytes)
  }

  async #put(what: string, value: Uint8Array | null): Promise<void> {
    const key = `swarm!${this.#name}!${what}`
    const op: KeyValueOp = value === null ? { type: 'del', key } : { type: 'put', key, value }
    await this.#kv.batch([op], { sync: true })
  }
}

/** The key file that holds the current secret of a swarm. */
export function keyName(swarm: string): string {
  return `secret-${swarm}`
}

function parseSecrets(bytes: Uint8Array): Secrets {
  const { secret, epoch, psk, previous, record } = recordOf(decodeCbor(bytes, 2), [
    'secret',
    'epoch',
    'psk',
    'previous',
    'record'
  ])
  if (!isSecret(secret) || !isCount(epoch) || typeof psk !== 'boolean') throw corrupt()
  if (record !== null && !(record instanceof Uint8Array)) throw corrupt()
  return { secret, epoch, psk, record, previous: previous === null ? null : parsePrevious(previous) }
}

function parsePrevious(value: unknown): Previous {
  const { secret, epoch, until } = recordOf(value, ['secret', 'epoch', 'until'])
  if (!isSecret(secret) || !isCount(epoch) || !isCount(until)) throw corrupt()
  return { secret, epoch, until }
}

function parseRow(peer: string, bytes: Uint8Array): Row {
  const { member, certificate, lastSeen } = recordOf(decodeCbor(bytes, 1), ['member', 'certificate', 'lastSeen'])
  if (typeof member !== 'string' || (certificate !== null && !(certificate instanceof Uint8Array))) throw corrupt()
  if (lastSeen !== null && !isCount(lastSeen)) throw corrupt()
  return { peer, member: parsePrincipal(member), certificate, lastSeen }
}

function parseAddresses(bytes: Uint8Array): readonly string[] {
  const list = decodeCbor(bytes, 1)
  if (!Array.isArray(list)) throw corrupt()
  return list.map((address: unknown) => {
    if (typeof address !== 'string') throw corrupt()
    return address
  })
}

function isSecret(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === 32
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function corrupt(): RegistryError {
  return new RegistryError('STORE_CORRUPT', 'the record of a private swarm cannot be read', {
    next: 'run ggen-node doctor; an invite lets this node in again'
  })
}
