import type { Connection } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { HELLO_PROTOCOL } from '../../../protocol/hello.ts'
import { FACTS_PROTOCOL, decodeFactsResponse, encodeFactsRequest } from '../../../protocol/facts-messages.ts'
import { FRAME_HEADER_BYTES, encodeFrame, frameLength } from '../../../protocol/frame.ts'
import { parseFactId, parseRegistryId } from '../../../protocol/cid.ts'
import { SUBMIT_PROTOCOL } from '../../../protocol/submit-messages.ts'
import { SYNC_PROTOCOL, decodeSyncReply, encodeSyncMessage } from '../../../protocol/sync/messages.ts'
import { bytesIn, encodeMessage, fieldsOf, lengthPrefixed, splitMessages } from './wire.ts'

/** What a stranger has heard of from elsewhere, and asks about. */
export interface Rumours {
  /** Content roots and blocks. */
  readonly cids: readonly string[]
  readonly registries: readonly string[]
  readonly facts: readonly string[]
  /** Topics to subscribe to, and protocols to open. */
  readonly topics: readonly string[]
  readonly protocols: readonly string[]
}

/** What came of one question. */
export interface Answer {
  readonly to: 'bitswap' | 'facts' | 'kad' | 'protocol' | 'snapshot' | 'sync'
  readonly about: string
  /** In words; `nothing` when no answer came. */
  readonly got: string
  /** Whether it tells something of what was asked about: that it is here, or what it is. */
  readonly tells: boolean
}

export const BITSWAP_PROTOCOLS = ['/ipfs/bitswap/1.2.0', '/ipfs/bitswap/1.1.0', '/ipfs/bitswap/1.0.0']
export const PUBLIC_KAD = '/ggen/kad/1.0.0'

/** Names that nodes of this and other networks are known to answer to, and `ls`, which asks for all of them. */
export const GUESSES: readonly string[] = [
  'ls',
  HELLO_PROTOCOL,
  FACTS_PROTOCOL,
  SYNC_PROTOCOL,
  SUBMIT_PROTOCOL,
  PUBLIC_KAD,
  ...BITSWAP_PROTOCOLS,
  '/ggen/member/1',
  '/ggen/have/1',
  '/ggen/dag/1',
  '/ggen/roster/1',
  '/ggen/swarm/1',
  '/ggen/hello/2',
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
  '/ipfs/ping/1.0.0',
  '/ipfs/kad/1.0.0',
  '/ipfs/lan/kad/1.0.0',
  '/ipfs/bitswap',
  '/meshsub/1.0.0',
  '/meshsub/1.1.0',
  '/meshsub/1.2.0',
  '/floodsub/1.0.0',
  '/libp2p/circuit/relay/0.1.0',
  '/libp2p/circuit/relay/0.2.0/hop',
  '/libp2p/circuit/relay/0.2.0/stop',
  '/libp2p/dcutr',
  '/libp2p/autonat/1.0.0',
  '/libp2p/autonat/2/dial-request',
  '/libp2p/fetch/0.0.1',
  '/rendezvous/1.0.0',
  '/perf/1.0.0',
  '/http/1.1'
]

const QUIET_MS = 300
const AT_ONCE = 17
const OPEN_MS = 2_000

/** Asks one peer everything there is to ask over its connection. Bitswap answers later, on streams of its own. */
export async function askEverything(connection: Connection, rumours: Rumours): Promise<readonly Answer[]> {
  const knocks = async (): Promise<readonly Answer[]> => {
    const names = [...new Set([...GUESSES, ...rumours.protocols])]
    const answers: Answer[] = []
    while (names.length > 0) {
      answers.push(...(await Promise.all(names.splice(0, AT_ONCE).map(async name => await knock(connection, name)))))
    }
    return answers
  }
  const lookUps = async (): Promise<readonly Answer[]> => {
    const kads = [PUBLIC_KAD, ...rumours.protocols.filter(name => name.includes('/kad/'))]
    const answers: Answer[] = []
    for (const protocol of kads) answers.push(...(await askKad(connection, protocol, rumours.cids)))
    return answers
  }
  const facts = async (): Promise<readonly Answer[]> => {
    const answers: Answer[] = []
    for (const registry of rumours.registries) {
      answers.push(await askFacts(connection, registry, rumours.facts))
      answers.push(await askSnapshot(connection, registry))
      answers.push(await askSync(connection, registry))
    }
    return answers
  }
  const [knocked, found, told] = await Promise.all([knocks(), lookUps(), facts(), wantBlocks(connection, rumours.cids)])
  return [...knocked, ...found, ...told]
}

/** Opens a stream and says nothing, for what is no message would be held against him. Whatever is said there is recorded. */
async function knock(connection: Connection, protocol: string): Promise<Answer> {
  const bytes = await exchange(connection, protocol, [])
  const got = bytes === undefined ? 'nothing' : `${bytes.length} bytes`
  return { to: 'protocol', about: protocol, got, tells: false }
}

const [GET_VALUE, GET_PROVIDERS, FIND_NODE] = [1, 3, 4]
const PROVIDERS_FIELD = 9

async function askKad(connection: Connection, protocol: string, cids: readonly string[]): Promise<readonly Answer[]> {
  const keys = cids.map(cid => CID.parse(cid).multihash.bytes)
  const question = (type: number, key: Uint8Array): Uint8Array => lengthPrefixed(encodeMessage([1, type], [2, key]))
  await exchange(
    connection,
    protocol,
    [crypto.getRandomValues(new Uint8Array(34)), ...keys].map(key => question(FIND_NODE, key))
  )
  await exchange(
    connection,
    protocol,
    keys.map(key => question(GET_VALUE, Buffer.concat([Buffer.from('/pk/'), key])))
  )
  const bytes = await exchange(
    connection,
    protocol,
    keys.map(key => question(GET_PROVIDERS, key))
  )
  // Answers come in the order of the questions.
  const messages = splitMessages(bytes ?? new Uint8Array())
  return cids.map((about, index) => {
    const message = messages[index]
    const providers = message === undefined ? 0 : bytesIn(fieldsOf(message), PROVIDERS_FIELD).length
    const got = message === undefined ? 'nothing' : `${providers} providers`
    return { to: 'kad', about, got, tells: providers > 0 }
  })
}

async function askFacts(connection: Connection, registry: string, facts: readonly string[]): Promise<Answer> {
  const request = encodeFactsRequest({
    type: 'ids',
    registry: parseRegistryId(registry),
    ids: [registry, ...facts].map(parseFactId)
  })
  const response = await askOwn(connection, FACTS_PROTOCOL, request, decodeFactsResponse)
  const count = response?.type === 'facts' ? response.facts.length : 0
  const got = response?.type === 'refused' ? response.reason : response === undefined ? 'nothing' : `${count} facts`
  return { to: 'facts', about: registry, got, tells: count > 0 }
}

async function askSnapshot(connection: Connection, registry: string): Promise<Answer> {
  const request = encodeFactsRequest({ type: 'snapshot', registry: parseRegistryId(registry) })
  const response = await askOwn(connection, FACTS_PROTOCOL, request, decodeFactsResponse)
  const got = response?.type === 'refused' ? response.reason : (response?.type ?? 'nothing')
  return { to: 'snapshot', about: registry, got, tells: response?.type === 'snapshot' }
}

/** An open set: whoever has the registry answers with fingerprints. */
async function askSync(connection: Connection, registry: string): Promise<Answer> {
  // Version 1, then "everything" as a list of no items.
  const ranges = Uint8Array.from([0x61, 0, 0, 2, 0])
  const request = encodeSyncMessage({ type: 'open', session: 1, registry: parseRegistryId(registry), ranges })
  const response = await askOwn(connection, SYNC_PROTOCOL, request, decodeSyncReply)
  const got = response?.type === 'refused' ? response.reason : (response?.type ?? 'nothing')
  return { to: 'sync', about: registry, got, tells: response !== undefined && response.type !== 'refused' }
}

const [WANT_BLOCK, WANT_HAVE] = [0, 1]

async function wantBlocks(connection: Connection, cids: readonly string[]): Promise<void> {
  for (const kind of [WANT_HAVE, WANT_BLOCK]) {
    const entries = cids.map(cid =>
      encodeMessage([1, encodeMessage([1, CID.parse(cid).bytes], [2, 1], [4, kind], [5, 1])])
    )
    const message = encodeMessage([1, Buffer.concat([...entries, encodeMessage([2, 0])])])
    await exchange(connection, BITSWAP_PROTOCOLS[0] ?? '', [lengthPrefixed(message)])
  }
}

const [BLOCKS_FIELD, PRESENCES_FIELD] = [3, 4]

/** What bitswap told on a stream that it opened. */
export async function readBitswap(bytes: Uint8Array): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  for (const message of splitMessages(bytes)) {
    const fields = fieldsOf(message)
    for (const presence of bytesIn(fields, PRESENCES_FIELD)) {
      const inner = fieldsOf(presence)
      const has = !inner.some(({ number, value }) => number === 2 && value === 1)
      for (const cid of bytesIn(inner, 1)) {
        answers.push({ to: 'bitswap', about: CID.decode(cid).toString(), got: has ? 'have' : 'no', tells: has })
      }
    }
    for (const block of bytesIn(fields, BLOCKS_FIELD)) {
      const [prefix, data] = [bytesIn(fieldsOf(block), 1)[0], bytesIn(fieldsOf(block), 2)[0]]
      if (prefix === undefined || data === undefined) continue
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(data)))
      // version, codec, hash and length, then the digest that is left out of the message
      const about = CID.decode(Buffer.concat([prefix, digest])).toString()
      answers.push({ to: 'bitswap', about, got: `${data.length} bytes`, tells: true })
    }
  }
  return answers
}

async function askOwn<T>(
  connection: Connection,
  protocol: string,
  request: Uint8Array,
  decode: (bytes: Uint8Array) => T
): Promise<T | undefined> {
  // It is answered always, if only by a refusal: on a busy machine later than others are quiet.
  const bytes = await exchange(connection, protocol, [encodeFrame(request)], OPEN_MS)
  if (bytes === undefined || bytes.length < FRAME_HEADER_BYTES) return undefined
  return decode(bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frameLength(bytes)))
}

/** Sends pieces on a new stream and returns what comes until it ends or is quiet; undefined when it was not opened. */
async function exchange(
  connection: Connection,
  protocol: string,
  pieces: readonly Uint8Array[],
  /** How long the first of it may take. */
  firstMs = QUIET_MS
): Promise<Uint8Array | undefined> {
  try {
    const stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(OPEN_MS) })
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const chunks: Uint8Array[] = []
    let timer = setTimeout(() => resolve(undefined), firstMs)
    stream.addEventListener('message', ({ data }) => {
      chunks.push(data.subarray())
      clearTimeout(timer)
      timer = setTimeout(() => resolve(undefined), QUIET_MS)
    })
    stream.addEventListener('close', () => resolve(undefined))
    stream.addEventListener('remoteCloseWrite', () => resolve(undefined))
    for (const piece of pieces) stream.send(piece)
    await promise
    clearTimeout(timer)
    stream.abort(new Error('enough was heard'))
    return Buffer.concat(chunks)
  } catch {
    return undefined
  }
}
