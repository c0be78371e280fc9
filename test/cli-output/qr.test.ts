import decodeQR from 'qr/decode.js'
import { describe, expect, test } from 'vitest'
import { drawQr } from '../../bin/commands/qr.ts'
import { DARK, LIGHT, photograph, uncoloured } from '../support/terminal-photo.ts'

function drawn(text: string, canvas: { colours: boolean; columns: number }): readonly string[] {
  const lines = drawQr(text, canvas)
  if (typeof lines === 'number') throw new Error(`needs ${lines} columns`)
  return lines
}

const token = (chars: number): string =>
  `ggen1${'aB3_-xYz09QwErTy'.repeat(Math.ceil(chars / 16)).slice(0, Math.max(1, chars - 5))}`

describe('a code that is printed can be read again', () => {
  const lengths = [6, 120, 333, 600, 1_200, 2_048]

  test.each(lengths)('black on white, %i characters', chars => {
    const lines = drawn(token(chars), { colours: true, columns: 500 })
    expect(decodeQR(photograph(lines.map(uncoloured), { ink: DARK, ground: LIGHT }))).toBe(token(chars))
  })

  test.each(lengths)('without colours on a dark background, %i characters', chars => {
    const lines = drawn(token(chars), { colours: false, columns: 500 })
    expect(decodeQR(photograph(lines, { ink: LIGHT, ground: DARK }))).toBe(token(chars))
  })

  test('and one in which a module is wrong here and there, too', () => {
    const lines = drawn(token(333), { colours: false, columns: 500 }).map((line, i) =>
      i % 9 === 5 ? `${line.slice(0, 30)}█${line.slice(31)}` : line
    )
    expect(decodeQR(photograph(lines, { ink: LIGHT, ground: DARK }))).toBe(token(333))
  })
})

describe('the room that a code takes', () => {
  test('four light modules on each side, in one width of lines', () => {
    const lines = drawn(token(120), { colours: true, columns: 500 }).map(uncoloured)
    const [width = 0] = lines.map(line => line.length)
    expect(new Set(lines.map(line => line.length))).toEqual(new Set([width]))
    expect(lines.length).toBe(Math.ceil(width / 2))
    for (const edge of [...lines.slice(0, 2), ...lines.slice(-2)]) expect(edge).toBe(' '.repeat(width))
    for (const line of lines) expect(line).toMatch(/^ {4}.* {4}$/)
    // The corner of the first finder pattern stands just inside.
    expect(lines[2]?.slice(4, 11)).toBe('█▀▀▀▀▀█')
  })

  test('two where four do not fit, and below that the width that it needs', () => {
    const [full = ''] = drawn(token(120), { colours: false, columns: 500 })
    const [narrow = ''] = drawn(token(120), { colours: false, columns: full.length - 1 })
    expect(narrow.length).toBe(full.length - 4)
    expect(drawn(token(120), { colours: false, columns: narrow.length })[0]).toHaveLength(narrow.length)
    expect(drawQr(token(120), { colours: false, columns: narrow.length - 1 })).toBe(narrow.length)
  })

  test('a token with one address fits a terminal of 80 columns', () => {
    expect(drawn(token(440), { colours: true, columns: 80 }).length).toBeLessThanOrEqual(40)
  })

  test('narrow codes are read, too', () => {
    const [full = ''] = drawn(token(120), { colours: true, columns: 500 }).map(uncoloured)
    const lines = drawn(token(120), { colours: true, columns: full.length - 1 }).map(uncoloured)
    expect(decodeQR(photograph(lines, { ink: DARK, ground: LIGHT }))).toBe(token(120))
  })
})
