import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes, toHex } from '../../protocol/bytes.ts'
import { CarReader, encodeCarBlock, encodeCarHeader } from '../../protocol/car.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'
import { registryNamed } from '../support/fact-maker.ts'

const root = registryNamed('acme')

function read(bytes: Uint8Array, size = bytes.length): readonly Uint8Array[] {
  const reader = new CarReader(root)
  const blocks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += size) blocks.push(...reader.push(bytes.subarray(at, at + size)))
  reader.end()
  return blocks
}

test('an archive is read as it was written, in pieces of any size', () => {
  const block = fc.uint8Array({ maxLength: 400 })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 10 }), fc.integer({ min: 1, max: 700 }), (blocks, size) => {
      const archive = concatBytes([encodeCarHeader(root), ...blocks.map(encodeCarBlock)])
      expect(read(archive, size).map(toHex)).toEqual(blocks.map(toHex))
    })
  )
})

describe('an archive is malformed', () => {
  const header = encodeCarHeader(root)
  const block = encodeCarBlock(Uint8Array.of(0xa0))
  const changed = (at: number): Uint8Array => block.map((byte, index) => (index === at ? byte ^ 1 : byte))
  test.each([
    ['of another registry', encodeCarHeader(registryNamed('other'))],
    ['without a header', block],
    ['that ends in its header', header.subarray(0, 20)],
    ['that ends in a block', concatBytes([header, block.subarray(0, 20)])],
    ['that ends in a length', concatBytes([header, Uint8Array.of(0x80)])],
    ['whose block is not that of its id', concatBytes([header, changed(block.length - 1)])],
    ['whose block has another kind of id', concatBytes([header, changed(2)])],
    ['with a block that is too short for an id', concatBytes([header, Uint8Array.of(5, 1, 1, 1, 1, 1)])],
    ['with a length of 2^31', concatBytes([header, Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x08)])],
    ['with a length in another spelling', concatBytes([header, Uint8Array.of(0xa5, 0x00), block.subarray(1)])],
    [
      'with a block larger than any fact',
      concatBytes([header, encodeCarBlock(new Uint8Array(LIMITS.fact.envelopeBytes + 1))])
    ]
  ])('%s', (_, bytes) => {
    expect(codeOf(() => read(bytes))).toBe('MALFORMED')
    expect(codeOf(() => read(bytes, 7))).toBe('MALFORMED')
  })
})
