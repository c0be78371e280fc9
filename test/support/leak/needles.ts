import { createHash } from 'node:crypto'
import { base32 } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'

/** What kind of private thing it is; for messages, and to leave kinds out where they are known anyway. */
export type Kind =
  'alias' | 'block' | 'chain' | 'content' | 'fact' | 'key' | 'name' | 'peer' | 'secret' | 'text' | 'topic'

/** A private thing, in one form; its needles are all spellings of it. */
export interface Thing {
  readonly kind: Kind
  /** What people call it, for messages. */
  readonly label: string
  readonly form: 'text' | 'bytes' | 'cid' | 'public-key'
  readonly bytes: Uint8Array
}

/** One pattern of bytes that must not be seen. */
export interface Needle {
  readonly thing: Thing
  readonly spelling: string
  readonly bytes: Uint8Array
}

/** Shorter ones would be found by chance. */
const SHORTEST_BYTES = 6
/** Of longer ones the beginning is looked for: nobody tells the rest without it. */
const LONGEST_BYTES = 96

export const textThing = (kind: Kind, text: string): Thing => ({
  kind,
  label: text,
  form: 'text',
  bytes: Buffer.from(text)
})
export const bytesThing = (kind: Kind, label: string, bytes: Uint8Array): Thing => ({
  kind,
  label,
  form: 'bytes',
  bytes
})
export const cidThing = (kind: Kind, cid: string): Thing => ({
  kind,
  label: cid,
  form: 'cid',
  bytes: CID.parse(cid).bytes
})
/** An Ed25519 key, of a person or of a host. */
export const keyThing = (kind: Kind, label: string, key: Uint8Array): Thing => ({
  kind,
  label,
  form: 'public-key',
  bytes: key
})

/** Every spelling of every thing. */
export function needlesOf(things: readonly Thing[]): readonly Needle[] {
  const needles = new Map<string, Needle>()
  for (const thing of things) {
    for (const [spelling, whole] of spellingsOf(thing)) {
      const bytes = whole.subarray(0, LONGEST_BYTES)
      if (bytes.length < SHORTEST_BYTES) {
        throw new Error(`${thing.label} (${spelling}) is too short to be told from chance: choose a longer one`)
      }
      const key = Buffer.from(bytes).toString('latin1')
      if (!needles.has(key)) needles.set(key, { thing, spelling, bytes })
    }
  }
  return [...needles.values()]
}

type Spelling = readonly [string, Uint8Array]

function spellingsOf({ form, bytes }: Thing): readonly Spelling[] {
  switch (form) {
    case 'text':
      return [...spellings(bytes), ...textSpellings(Buffer.from(bytes).toString())]
    case 'bytes':
      return spellings(bytes)
    case 'cid': {
      const { multihash } = CID.decode(bytes)
      const whole = [bytes, multihash.bytes]
      return [...spellings(multihash.digest), ...whole.flatMap(each => wholeSpellings(each))]
    }
    case 'public-key': {
      const did = Uint8Array.from([0xed, 0x01, ...bytes])
      const protobuf = Uint8Array.from([0x08, 0x01, 0x12, 0x20, ...bytes])
      const peerId = Uint8Array.from([0x00, protobuf.length, ...protobuf])
      const peerCid = Uint8Array.from([0x01, 0x72, ...peerId])
      return [...spellings(bytes), ...[did, peerId, peerCid].flatMap(each => wholeSpellings(each))]
    }
  }
}

/** As it is, and in the encodings in which it looks the same wherever in a message it lies. */
function spellings(bytes: Uint8Array): readonly Spelling[] {
  const hex = Buffer.from(bytes).toString('hex')
  return [
    ['raw', bytes],
    ['hex', Buffer.from(hex)],
    ['HEX', Buffer.from(hex.toUpperCase())],
    ...aligned(bytes, { name: 'base64', bits: 6, group: 3, encode: each => Buffer.from(each).toString('base64') }),
    ...aligned(bytes, {
      name: 'base64url',
      bits: 6,
      group: 3,
      encode: each => Buffer.from(each).toString('base64url')
    }),
    ...aligned(bytes, { name: 'base32', bits: 5, group: 5, encode: each => base32.baseEncode(each) }),
    ...aligned(bytes, { name: 'BASE32', bits: 5, group: 5, encode: each => base32.baseEncode(each).toUpperCase() }),
    ...wholeSpellings(bytes)
  ]
}

/** Encodings that depend on everything around: they are known of the thing by itself only. Hashes too, as keys of a DHT are. */
function wholeSpellings(bytes: Uint8Array): readonly Spelling[] {
  const digest = createHash('sha256').update(bytes).digest()
  return [
    ['base58', Buffer.from(base58btc.baseEncode(bytes))],
    ['base36', Buffer.from(base36.baseEncode(bytes))],
    ['sha256', digest],
    ['sha256 in hex', Buffer.from(digest.toString('hex'))],
    ['sha256 in base32', Buffer.from(base32.baseEncode(digest))]
  ]
}

function textSpellings(text: string): readonly Spelling[] {
  const percent = [...Buffer.from(text)].map(byte =>
    /[\w.~-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`
  )
  return [
    ['upper case', Buffer.from(text.toUpperCase())],
    ['utf-16', Buffer.from(text, 'utf16le')],
    ['percent', Buffer.from(percent.join(''))],
    ['PERCENT', Buffer.from(percent.map(each => (each.length > 1 ? each.toUpperCase() : each)).join(''))]
  ]
}

interface Code {
  readonly name: string
  /** Of one character. */
  readonly bits: number
  /** So many bytes make whole characters. */
  readonly group: number
  readonly encode: (bytes: Uint8Array) => string
}

/** In base 32 and 64 a character holds bits of two bytes: what the middle looks like depends on where in a message it begins. */
function aligned(bytes: Uint8Array, { name, bits, group, encode }: Code): readonly Spelling[] {
  const found: Spelling[] = []
  for (let before = 0; before < group; before++) {
    const text = encode(Uint8Array.from([...new Uint8Array(before), ...bytes]))
    const first = Math.ceil((before * 8) / bits)
    const last = Math.floor(((before + bytes.length) * 8) / bits)
    if (last - first >= SHORTEST_BYTES) found.push([`${name} at ${before}`, Buffer.from(text.slice(first, last))])
  }
  return found
}
