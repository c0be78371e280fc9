import { describe, expect, test } from 'vitest'
import { FrameReader, formatFrame } from '../../protocol/foreign/frames.ts'
import type { Frame } from '../../protocol/foreign/frames.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'

const raw = (type: number, payload: Uint8Array, length = payload.length): Uint8Array => {
  const head = Buffer.alloc(5)
  head[0] = type
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, payload])
}
const file = (executable: number, size: number): Uint8Array => {
  const head = Buffer.alloc(9)
  head[0] = executable
  head.writeDoubleBE(size, 1)
  return raw(2, Buffer.concat([head, Buffer.from('a')]))
}

describe('frames of the process that reads archives', () => {
  test('come out as they went in, however they are cut', () => {
    const frames: readonly Frame[] = [
      { type: 'directory', path: 'd' },
      { type: 'file', path: 'd/ü', size: 2 ** 40, executable: true },
      { type: 'bytes', bytes: Uint8Array.of(1, 2, 3) },
      { type: 'refused', code: 'HOSTILE_PATH', message: 'it leads out' },
      { type: 'listed' },
      { type: 'end' }
    ]
    const bytes = Buffer.concat(frames.map(formatFrame))
    for (const step of [1, 7, bytes.length]) {
      const reader = new FrameReader()
      const read: Frame[] = []
      for (let at = 0; at < bytes.length; at += step) read.push(...reader.read(bytes.subarray(at, at + step)))
      expect(read).toEqual(frames)
    }
  })

  test.each<readonly [string, Uint8Array]>([
    ['of no kind', raw(9, Buffer.from('x'))],
    ['longer than any may be', raw(3, Buffer.alloc(0), LIMITS.foreign.metaBytes + 100)],
    ['with no bytes', raw(3, Buffer.alloc(0))],
    ['that says that all was listed, and more', raw(6, Buffer.from('x'))],
    ['that ends and says something', raw(4, Buffer.from('x'))],
    ['of a file without a size', raw(2, Buffer.alloc(8))],
    ['of a file that is more than executable', file(2, 1)],
    ['of a file of less than nothing', file(0, -1)],
    ['of a file of half a byte', file(0, 0.5)],
    ['of a file that is no number long', file(0, Number.NaN)],
    ['with a name that is not UTF-8', raw(1, Buffer.from([0xff]))],
    ['that refuses for a reason that is none', raw(5, Buffer.from('INTERNAL its own fault'))],
    ['that refuses for no reason', raw(5, Buffer.from('MALFORMED'))]
  ])('%s are not understood', (_, bytes) => {
    expect(codeOf(() => new FrameReader().read(bytes))).toBe('INTERNAL')
  })

  test('say nothing that moves a cursor or turns text round', () => {
    const said = new FrameReader().read(raw(5, Buffer.from(`MALFORMED a\u001b[2Jb\u202ec${'x'.repeat(1_000)}`)))
    expect(said).toEqual([
      { type: 'refused', code: 'MALFORMED', message: `a?[2Jb?c${'x'.repeat(LIMITS.foreign.messageChars - 8)}` }
    ])
  })
})
