import { encode, decode } from '@ipld/dag-pb'
import type { PBNode } from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { describe, expect, test } from 'vitest'
import { compareText, concatBytes, equalBytes } from '../../protocol/bytes.ts'
import { isCanonical } from '../../protocol/canonical-node.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const link = fc.record({ Name: fc.string({ unit: 'binary', maxLength: 12 }), Tsize: fc.nat(2 ** 40), digest })
const node = fc
  .record({ links: fc.array(link, { maxLength: 6 }), hasData: fc.boolean() })
  .map(({ links, hasData }): PBNode => {
    const Links = links
      .map(({ digest: bytes, ...rest }) => ({ ...rest, Hash: CID.createV1(0x55, createDigest(0x12, bytes)) }))
      .toSorted((a, b) => compareText(a.Name, b.Name))
    return hasData ? { Data: new UnixFS({ type: 'directory' }).marshal(), Links } : { Links }
  })

/** What is to be found out, the long way. */
function isWhatIsEncoded(bytes: Uint8Array, decoded: PBNode): boolean {
  try {
    return equalBytes(encode(decoded), bytes)
  } catch {
    return false
  }
}

function tryDecode(bytes: Uint8Array): PBNode | undefined {
  try {
    return decode(bytes)
  } catch {
    return undefined
  }
}

describe('the canonical spelling of a node', () => {
  test('is what is encoded', () => {
    fc.assert(
      fc.property(node, made => isCanonical(encode(made), decode(encode(made)))),
      { numRuns: 500 }
    )
  })

  test('is no other one that is read as a node with names and sizes', () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.nat(255),
      kind: fc.constantFrom('change', 'insert', 'delete', 'swap')
    })
    let read = 0
    fc.assert(
      fc.property(node, fc.array(change, { minLength: 1, maxLength: 3 }), (made, changes) => {
        const bytes = changes.reduce(changed, encode(made))
        const decoded = tryDecode(bytes)
        if (decoded === undefined) return
        read += 1
        const hasAll = decoded.Links.every(({ Name, Tsize }) => Name !== undefined && Tsize !== undefined)
        expect(isCanonical(bytes, decoded)).toBe(hasAll && isWhatIsEncoded(bytes, decoded))
      }),
      { numRuns: 20_000 }
    )
    expect(read).toBeGreaterThan(1_000)
  })

  const cid = CID.createV1(0x55, createDigest(0x12, new Uint8Array(32)))
  const [a, b] = ['a', 'b'].map(Name => encode({ Links: [{ Name, Tsize: 1, Hash: cid }] }))
  const data = Uint8Array.of(0x0a, 2, 8, 1)

  test.each([
    ['links that are not in order', [b, a]],
    ['data before links', [data, a]],
    ['a length in more bytes than it takes', [a, Uint8Array.of(0x0a, 0x82, 0x00, 8, 1)]],
    ['bytes behind the data', [a, data, Uint8Array.of(0)]]
  ] as const)('is not %s', (_, parts) => {
    const bytes = concatBytes(parts.map(part => part ?? new Uint8Array(0)))
    const decoded = tryDecode(bytes)
    expect(decoded !== undefined && isCanonical(bytes, decoded)).toBe(false)
  })

  test('has no size that a number does not hold exactly', () => {
    const sized = (size: readonly number[]): boolean => {
      const body = [0x0a, cid.bytes.length, ...cid.bytes, 0x12, 1, 0x61, 0x18, ...size]
      const bytes = Uint8Array.from([0x12, body.length, ...body])
      const decoded = tryDecode(bytes)
      return decoded !== undefined && isCanonical(bytes, decoded)
    }
    const most = [...Array.from({ length: 7 }, () => 0xff), 0x0f]
    expect(sized(most)).toBe(true)
    expect(sized([...Array.from({ length: 7 }, () => 0x80), 0x10])).toBe(false)
    expect(sized([0x89, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40])).toBe(false)
  })

  test('is this one of two links and data', () => {
    const bytes = concatBytes([a ?? data, b ?? data, data])
    expect(isCanonical(bytes, decode(bytes))).toBe(true)
  })
})

function changed(
  bytes: Uint8Array,
  { at, byte, kind }: { readonly at: number; readonly byte: number; readonly kind: string }
): Uint8Array {
  const i = bytes.length === 0 ? 0 : at % bytes.length
  switch (kind) {
    case 'insert':
      return concatBytes([bytes.subarray(0, i), Uint8Array.of(byte), bytes.subarray(i)])
    case 'delete':
      return concatBytes([bytes.subarray(0, i), bytes.subarray(i + 1)])
    case 'swap':
      return concatBytes([bytes.subarray(i), bytes.subarray(0, i)])
    default:
      return Uint8Array.from(bytes, (old, k) => (k === i ? byte : old))
  }
}
