import decodeQR from 'qr/decode.js'
import { describe, expect, test } from 'vitest'
import { drawQr } from '../../bin/commands/qr.ts'

const DARK = 0
const LIGHT = 255
const SCALE = 4

/** What each half of a character cell shows: ink where the character has any, else the ground. */
const CELLS: Readonly<Record<string, readonly [boolean, boolean]>> = {
  ' ': [false, false],
  '▀': [true, false],
  '▄': [false, true],
  '█': [true, true]
}

/** Looks at a terminal as a camera does: cells become grey values, for the colours that the lines or the terminal give. */
function photograph(lines: readonly string[], { ink, ground }: { ink: number; ground: number }) {
  const rows = lines.flatMap(line => {
    const cells = Array.from(line, char => {
      const cell = CELLS[char]
      if (cell === undefined) throw new Error(`the code has a ${JSON.stringify(char)}`)
      return cell
    })
    return [0, 1].map(half => cells.map(cell => (cell[half] === true ? ink : ground)))
  })
  // Beyond the code lies more of the terminal.
  const around = 3
  const width = ((rows[0]?.length ?? 0) + 2 * around) * SCALE
  const height = (rows.length + 2 * around) * SCALE
  const data = new Uint8Array(width * height * 4)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = rows[Math.floor(y / SCALE) - around]?.[Math.floor(x / SCALE) - around] ?? ground
      data.fill(value, (y * width + x) * 4, (y * width + x) * 4 + 3)
      data[(y * width + x) * 4 + 3] = 255
    }
  }
  return { width, height, data }
}

/** Takes the colours off a line, which must be the two that are the same in every theme. */
function uncoloured(line: string): string {
  // eslint-disable-next-line no-control-regex
  const inner = /^\u001b\[38;5;16;48;5;231m([ ▀▄█]+)\u001b\[0m$/.exec(line)?.[1]
  if (inner === undefined) throw new Error(`not in black on white: ${JSON.stringify(line)}`)
  return inner
}

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
