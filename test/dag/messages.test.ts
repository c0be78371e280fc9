import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { create as createDigest } from 'multiformats/hashes/digest'
import { describe, expect, test } from 'vitest'
import { concatBytes, toHex } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { parseContentId, toLink } from '../../protocol/cid.ts'
import { AnswerReader } from '../../protocol/dag/answer-reader.ts'
import {
  DAG_PROTOCOL,
  DAG_REACHES,
  decodeDagRequest,
  encodeAnswerFrame,
  encodeDagRequest
} from '../../protocol/dag/messages.ts'
import type { AnswerFrame } from '../../protocol/dag/messages.ts'
import { BlockOrder } from '../../protocol/dag/order.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text, bytes } = specExample('dag')

const blocks = new DagBlocks()
const [a, b] = [blocks.raw(Buffer.from('alpha\n')), blocks.raw(Buffer.from('beta\n'))]
const root = blocks.folder({ 'a.txt': a, 'b.txt': b })

function framesOf(stream: Uint8Array, mostBytes = () => LIMITS.content.chunkBytes): AnswerFrame[] {
  return [...new AnswerReader(mostBytes).push(stream)]
}

describe('the document', () => {
  test('shows requests as they are', () => {
    expect(text('root')).toBe(root.toString())
    const nodes = { reach: 'nodes', root: rootOf(root), wants: [root] } as const
    const leaves = { reach: 'blocks', root: rootOf(root), wants: [a, b] } as const
    for (const [name, request] of Object.entries({ nodes, leaves })) {
      expect(toHex(encodeDagRequest(request))).toBe(text(name))
      expect(decodeDagRequest(bytes(name))).toEqual(request)
      expect(toHex(encodeFrame(encodeDagRequest(request)))).toBe(text(`${name} on the stream`))
    }
  })

  test('shows the answers of a peer that has all, has it in part, or has no room', () => {
    const answer = (request: Uint8Array, without?: CID): Uint8Array => {
      const order = new BlockOrder(decodeDagRequest(request))
      const frames: AnswerFrame[] = []
      for (let next = order.next; next !== undefined; next = order.next) {
        if (next.toString() === without?.toString()) {
          frames.push({ type: 'missing' })
          order.miss()
          continue
        }
        frames.push({ type: 'block', bytes: blocks.bytes(next) })
        order.take(blocks.bytes(next))
      }
      return concatBytes([...frames, { type: 'end' } as const].map(encodeAnswerFrame))
    }
    expect(toHex(answer(bytes('nodes')))).toBe(text('answer to nodes'))
    expect(toHex(answer(bytes('leaves')))).toBe(text('answer to leaves'))
    expect(toHex(answer(bytes('leaves'), a))).toBe(text('answer without the first'))
    const busy = { type: 'busy', peers: [{ id: text('peer'), addresses: [text('address')] }] } as const
    expect(toHex(encodeAnswerFrame(busy))).toBe(text('answer without room'))
    expect(framesOf(bytes('answer without room'))).toEqual([busy])
    const crowded = [{ type: 'elsewhere' }, { type: 'block', bytes: blocks.bytes(b) }, busy] as const
    expect(toHex(concatBytes(crowded.map(encodeAnswerFrame)))).toBe(text('answer in a crowd'))
  })

  test('names the protocol, each reach and the limits as they are', () => {
    for (const word of [DAG_PROTOCOL, ...DAG_REACHES]) expect(document).toContain(`\`${word}\``)
    const { wants, requestBytes, busyBytes, peers, addressesPerPeer, addressChars } = LIMITS.dag
    for (const number of [wants, requestBytes, busyBytes, peers, addressesPerPeer, addressChars])
      expect(document).toContain(number.toLocaleString('en'))
  })
})

describe('a request has one spelling', () => {
  const request = { reach: 'blocks', root: rootOf(root), wants: [a] } as const
  const packed = Uint8Array.of(0x55, ...a.multihash.digest)
  const spelled = (overrides: object): Uint8Array =>
    encodeCbor({ reach: 'blocks', root: toLink(request.root), wants: packed, ...overrides })

  test('and that is taken', () => {
    expect(decodeDagRequest(spelled({}))).toEqual(request)
    const most = Array.from({ length: LIMITS.dag.wants }, (_, i) => blocks.raw(Uint8Array.of(i & 255, i >> 8)))
    const largest = encodeDagRequest({ reach: 'nodes', root: request.root, wants: most })
    expect(largest.length).toBeLessThanOrEqual(LIMITS.dag.requestBytes)
    expect(decodeDagRequest(largest).wants).toEqual(most)
  })

  const identityCid = CID.createV1(0x55, identity.digest(Uint8Array.of(1, 2, 3)))
  const unknownCid = CID.createV1(0x55, createDigest(0x13, new Uint8Array(32)))
  test.each<[string, object]>([
    ['another reach', { reach: 'some' }],
    ['one field more', { extra: 1 }],
    ['a root that is a fact', { root: CID.createV1(0x71, a.multihash) }],
    ['a root under an identity hash', { root: identityCid }],
    ['a root under an unknown hash', { root: unknownCid }],
    ['a root of version 0', { root: CID.createV0(createDigest(0x12, root.multihash.digest)) }],
    ['no wants', { wants: new Uint8Array() }],
    ['a want that is cut short', { wants: packed.subarray(1) }],
    ['a want of another codec', { wants: Uint8Array.of(0x71, ...a.multihash.digest) }],
    ['one block twice', { wants: concatBytes([packed, packed]) }],
    ['too many wants', { wants: new Uint8Array(33 * (LIMITS.dag.wants + 1)).fill(0x55) }]
  ])('so %s is refused', (_, overrides) => {
    expect(codeOf(() => decodeDagRequest(spelled(overrides)))).toBe('MALFORMED')
  })

  test('and any other bytes are refused without harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), noise => {
        expect(() => decodeDagRequest(noise)).toThrow(RegistryError)
      })
    )
  })
})

const frame: fc.Arbitrary<AnswerFrame> = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map(body => ({ type: 'block', bytes: Uint8Array.from(body) }) as const),
  fc.constant({ type: 'missing' } as const),
  fc.constant({ type: 'elsewhere' } as const),
  fc.constant({ type: 'end' } as const),
  fc
    .array(
      fc.record({
        id: fc.string({ minLength: 1, maxLength: 64 }),
        addresses: fc.array(fc.string({ minLength: 1, maxLength: 99 }), { maxLength: 2 })
      }),
      { maxLength: 8 }
    )
    .map(peers => ({ type: 'busy', peers }) as const)
)

describe('an answer is read', () => {
  test('as it was sent, however it is cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
        const stream = concatBytes(frames.map(encodeAnswerFrame))
        const reader = new AnswerReader(() => 60)
        const read: AnswerFrame[] = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const length = cuts[i % cuts.length] ?? 1
          read.push(...reader.push(stream.subarray(at, at + length)))
          at += length
        }
        expect(read).toEqual(frames)
      })
    )
  })

  test('one frame at a time, so that each decides what the next may be', () => {
    let most = 3
    const reader = new AnswerReader(() => most)
    const two = concatBytes([1, 2].map(() => encodeAnswerFrame({ type: 'block', bytes: new Uint8Array(3) })))
    const read = (): void => {
      for (const _ of reader.push(two)) most = 2
    }
    expect(codeOf(read)).toBe('LIMIT_EXCEEDED')
  })

  test.each([
    ['an unknown type', [5, 0, 0, 0], 'MALFORMED'],
    ['a leaf elsewhere with bytes', [4, 0, 0, 1, 0], 'MALFORMED'],
    ['a length of 2^31', [0x80, 0, 0, 0], 'MALFORMED'],
    ['a block of 16 MiB', [0, 255, 255, 255], 'LIMIT_EXCEEDED'],
    ['an end that goes on', [2, 0, 0, 1, 0], 'MALFORMED'],
    ['a missing block with bytes', [1, 0, 0, 1, 0], 'MALFORMED'],
    ['peers without end', [3, 255, 255, 255], 'MALFORMED'],
    ['peers that are none', [3, 0, 0, 1, 0xf6], 'MALFORMED'],
    ['an empty peer', [3, 0, 0, 2, 0x81, 0x60], 'MALFORMED']
  ])('and %s is refused by its first bytes', (_, stream, code) => {
    expect(codeOf(() => framesOf(Uint8Array.from(stream)))).toBe(code)
  })
})

test('the root of the example is content', () => {
  expect(parseContentId(text('root'))).toBe(root.toString())
})
