import { expect, test } from 'vitest'
import { parseByteSize } from '../../protocol/byte-size.ts'

test.each([
  ['0', 0],
  ['4194304', 4_194_304],
  ['500MB', 500_000_000],
  ['1.5 GiB', 1_610_612_736],
  ['20gib', 21_474_836_480],
  ['7 kB', 7_000]
])('%j is %d bytes', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes)
})

test.each(['', 'GiB', '-1', '1e9', '5 PB', '1..5MB', '0x10', '99999999999 TiB', '1 GiB!', '1  GiB'])(
  '%j is no size',
  text => {
    expect(parseByteSize(text)).toBeUndefined()
  }
)
