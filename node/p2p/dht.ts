import { kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Datastore } from './components.ts'

const PROVIDERS = '/dht/provider/'
const RECORDS = '/dht/record/'

type Key = Parameters<Datastore['put']>[0]

/**
 * The DHT under our own name. It stores provider records only: the one kind of value that js kad-dht would take from
 * strangers, public keys, is of no use here, as ours are part of the peer id.
 */
export function dht(
  protocol: string,
  { internet, bucket }: { readonly internet: boolean; readonly bucket: number }
): ReturnType<typeof kadDHT> {
  return kadDHT({
    protocol,
    kBucketSize: bucket,
    clientMode: false,
    // On the internet a neighbour's private address is a way to make this node dial into its own site.
    peerInfoMapper: internet ? removePrivateAddressesMapper : passthroughMapper,
    allowQueryWithZeroPeers: true,
    maxInboundStreams: LIMITS.streams.kad,
    maxOutboundStreams: LIMITS.streams.kad,
    validators: {
      pk: () => {
        throw new RegistryError('LIMIT_EXCEEDED', 'this dht keeps provider records only')
      }
    }
  })
}

/**
 * A datastore in which strangers cannot fill the disk through the DHT: js kad-dht 16 writes every ADD_PROVIDER it gets
 * to `/dht/provider/<multihash>/<peer>` with no bound of any kind. A refused record fails the stream that brought it.
 */
export class QuotaDatastore implements Datastore {
  readonly #inner: Datastore
  readonly #self: string
  /** Of each content, who provides it and how many bytes the record has. */
  readonly #byContent = new Map<string, Map<string, number>>()
  readonly #perPeer = new Map<string, number>()
  #total = 0
  #bytes = 0

  /** @param self our own peer id, whose records are of our own making and count for nothing */
  constructor(inner: Datastore, self: string) {
    this.#inner = inner
    this.#self = self
  }

  /** Counts what is there. To be called before the DHT starts. */
  async load(): Promise<void> {
    for await (const { key, value } of this.#inner.query({ prefix: PROVIDERS })) {
      const record = recordOf(key)
      if (record !== undefined && this.#total < LIMITS.dht.records) this.#count(record, weightOf(key, value))
    }
  }

  /** How many records of strangers are kept. */
  get records(): number {
    return this.#total
  }

  async put(...[key, value, options]: Parameters<Datastore['put']>): Promise<Key> {
    const added = this.#admit(key, value)
    try {
      return await this.#inner.put(key, value, options)
    } catch (error) {
      if (added !== undefined) this.#uncount(added)
      throw error
    }
  }

  async delete(...[key, options]: Parameters<Datastore['delete']>): Promise<void> {
    await this.#inner.delete(key, options)
    const record = recordOf(key)
    if (record !== undefined) this.#uncount(record)
  }

  async *putMany(...[source, options]: Parameters<Datastore['putMany']>): AsyncGenerator<Key> {
    for await (const { key, value } of source) yield await this.put(key, value, options)
  }

  async *deleteMany(...[source, options]: Parameters<Datastore['deleteMany']>): AsyncGenerator<Key> {
    for await (const key of source) {
      await this.delete(key, options)
      yield key
    }
  }

  /** A batch goes past the count, so it may not carry what is counted. */
  batch(): ReturnType<Datastore['batch']> {
    const batch = this.#inner.batch()
    return {
      put: (key, value) => {
        if (key.toString().startsWith('/dht/')) throw refused('records are not written in batches')
        batch.put(key, value)
      },
      delete: key => batch.delete(key),
      commit: options => batch.commit(options)
    }
  }

  get(...args: Parameters<Datastore['get']>): ReturnType<Datastore['get']> {
    return this.#inner.get(...args)
  }

  has(...args: Parameters<Datastore['has']>): ReturnType<Datastore['has']> {
    return this.#inner.has(...args)
  }

  getMany(...args: Parameters<Datastore['getMany']>): ReturnType<Datastore['getMany']> {
    return this.#inner.getMany(...args)
  }

  query(...args: Parameters<Datastore['query']>): ReturnType<Datastore['query']> {
    return this.#inner.query(...args)
  }

  queryKeys(...args: Parameters<Datastore['queryKeys']>): ReturnType<Datastore['queryKeys']> {
    return this.#inner.queryKeys(...args)
  }

  /** Counts a new record before it is written, so that many at once cannot slip past. */
  #admit(key: Key, value: Uint8Array): ProviderRecord | undefined {
    const name = key.toString()
    if (name.startsWith(RECORDS)) throw refused('this dht keeps provider records only')
    if (!name.startsWith(PROVIDERS)) return undefined
    const record = recordOf(key)
    const bytes = weightOf(key, value)
    if (record === undefined || bytes > LIMITS.dht.recordBytes) throw refused('not a record')
    if (record.peer === this.#self) return undefined
    const providers = this.#byContent.get(record.content)
    const before = providers?.get(record.peer)
    // Attack: few records, each rewritten with more in it.
    if (this.#bytes - (before ?? 0) + bytes > LIMITS.dht.totalBytes) throw refused('the table is full')
    if (before !== undefined) {
      this.#bytes += bytes - before
      providers?.set(record.peer, bytes)
      return undefined
    }
    if ((providers?.size ?? 0) >= LIMITS.dht.providersPerKey) throw refused('enough providers are known')
    if ((this.#perPeer.get(record.peer) ?? 0) >= LIMITS.dht.recordsPerPeer) throw refused('too many records')
    if (this.#total >= LIMITS.dht.records) throw refused('the table is full')
    this.#count(record, bytes)
    return record
  }

  #count({ content, peer }: ProviderRecord, bytes: number): void {
    const providers = this.#byContent.get(content) ?? new Map<string, number>()
    if (peer === this.#self || providers.has(peer)) return
    this.#byContent.set(content, providers.set(peer, bytes))
    this.#bytes += bytes
    this.#perPeer.set(peer, (this.#perPeer.get(peer) ?? 0) + 1)
    this.#total += 1
  }

  #uncount({ content, peer }: ProviderRecord): void {
    const providers = this.#byContent.get(content)
    const bytes = providers?.get(peer)
    if (providers === undefined || bytes === undefined) return
    providers.delete(peer)
    this.#bytes -= bytes
    if (providers.size === 0) this.#byContent.delete(content)
    const left = (this.#perPeer.get(peer) ?? 1) - 1
    if (left > 0) this.#perPeer.set(peer, left)
    else this.#perPeer.delete(peer)
    this.#total -= 1
  }
}

interface ProviderRecord {
  readonly content: string
  readonly peer: string
}

function recordOf(key: Key): ProviderRecord | undefined {
  const [content, peer, ...rest] = key.toString().slice(PROVIDERS.length).split('/')
  return content === undefined || peer === undefined || rest.length > 0 ? undefined : { content, peer }
}

function weightOf(key: Key, value: Uint8Array): number {
  return key.toString().length + value.length
}

function refused(message: string): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', message)
}
