import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { concatBytes } from '../bytes.ts'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { contentIdFromLink, toLink } from '../cid.ts'
import type { ContentId } from '../cid.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { DAG_PB, RAW } from '../unixfs-node.ts'

/** The blocks of one content root in an order that both sides know. docs/spec/dag.md */
export const DAG_PROTOCOL = '/ggen/dag/1'

export const DAG_REACHES = ['all', 'nodes', 'blocks'] as const

/** What is sent for each CID that is asked for: all below it, the dag-pb nodes below it, or the one block. */
export type DagReach = (typeof DAG_REACHES)[number]

export interface DagRequest {
  readonly reach: DagReach
  /** What is being fetched: the same in all requests of one stream. */
  readonly root: ContentId
  /** Version 1, raw or dag-pb, sha2-256; each once. */
  readonly wants: readonly CID[]
}

const SHA2_256 = 0x12
const DIGEST_BYTES = 32
const WANT_BYTES = 1 + DIGEST_BYTES

export function encodeDagRequest({ reach, root, wants }: DagRequest): Uint8Array {
  const packed = concatBytes(wants.flatMap(cid => [Uint8Array.of(cid.code), cid.multihash.digest]))
  return encodeCbor({ reach, root: toLink(root), wants: packed })
}

/** @throws RegistryError MALFORMED */
export function decodeDagRequest(bytes: Uint8Array): DagRequest {
  const raw = recordOf(decodeCbor(bytes, 2, 16), ['reach', 'root', 'wants'])
  const reach = DAG_REACHES.find(known => known === raw.reach)
  if (reach === undefined || !(raw.wants instanceof Uint8Array)) throw malformed()
  return { reach, root: contentIdFromLink(raw.root), wants: parseWants(raw.wants) }
}

function parseWants(packed: Uint8Array): readonly CID[] {
  const count = packed.length / WANT_BYTES
  if (!Number.isInteger(count) || count < 1 || count > LIMITS.dag.wants) throw malformed()
  const seen = new Set<string>()
  return Array.from({ length: count }, (_, i) => {
    const code = packed[i * WANT_BYTES]
    if (code !== RAW && code !== DAG_PB) throw malformed()
    const digest = packed.subarray(i * WANT_BYTES + 1, (i + 1) * WANT_BYTES)
    const cid = CID.createV1(code, createDigest(SHA2_256, digest))
    // Attack: one block, asked for four thousand times in one request of 130 KiB.
    seen.add(cid.toString())
    if (seen.size <= i) throw malformed()
    return cid
  })
}

/** Bytes before each frame of an answer: what it is, and its length in three bytes, big-endian. */
export const ANSWER_HEADER_BYTES = 4

export const ANSWER_TYPES = ['block', 'missing', 'end', 'busy', 'elsewhere'] as const

/**
 * `block`, `missing` and `elsewhere` are about the block that comes next in the order of the request; `end` comes after the
 * last one. `elsewhere` is a leaf that others got from here, who are to be asked first. `busy` is the end of the answer and of
 * the stream: no more now, and these peers got the same root from here.
 */
export type AnswerFrame =
  | { readonly type: 'block'; readonly bytes: Uint8Array }
  | { readonly type: 'missing' }
  | { readonly type: 'elsewhere' }
  | { readonly type: 'end' }
  | { readonly type: 'busy'; readonly peers: readonly NamedPeer[] }

/** A peer that has the content, and where it may be. Nothing of it is proved: who dials it finds out. */
export interface NamedPeer {
  readonly id: string
  /** Multiaddrs without the peer id at their end. */
  readonly addresses: readonly string[]
}

/** What goes before the bytes of a block: they need not be copied for it. */
export function answerHeader(type: AnswerFrame['type'], length: number): Uint8Array {
  return Uint8Array.of(ANSWER_TYPES.indexOf(type), (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff)
}

export function encodeAnswerFrame(frame: AnswerFrame): Uint8Array {
  switch (frame.type) {
    case 'block':
      return concatBytes([answerHeader('block', frame.bytes.length), frame.bytes])
    case 'missing':
    case 'elsewhere':
    case 'end':
      return answerHeader(frame.type, 0)
    case 'busy': {
      const payload = encodeCbor(frame.peers.map(({ id, addresses }) => [id, addresses]))
      return concatBytes([answerHeader('busy', payload.length), payload])
    }
  }
}

/** @throws RegistryError MALFORMED */
export function parseBusy(payload: Uint8Array): readonly NamedPeer[] {
  const { peers, peerChars, addressesPerPeer, addressChars } = LIMITS.dag
  const value = decodeCbor(payload, 3, 1 + peers * (3 + addressesPerPeer))
  if (!Array.isArray(value) || value.length > peers) throw malformed()
  return value.map((peer: unknown) => {
    const [id, addresses, ...more] = Array.isArray(peer) ? (peer as readonly unknown[]) : []
    if (!isText(id, peerChars) || !Array.isArray(addresses) || more.length > 0) throw malformed()
    if (addresses.length > addressesPerPeer) throw malformed()
    return {
      id,
      addresses: addresses.map((address: unknown) => {
        if (!isText(address, addressChars)) throw malformed()
        return address
      })
    }
  })
}

function isText(value: unknown, maxChars: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxChars
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about content does not have its shape')
}
