export const DARK = 0
export const LIGHT = 255
const SCALE = 4

/** What each half of a character cell shows: ink where the character has any, else the ground. */
const CELLS: Readonly<Record<string, readonly [boolean, boolean]>> = {
  ' ': [false, false],
  '▀': [true, false],
  '▄': [false, true],
  '█': [true, true]
}

/** Looks at a terminal as a camera does: cells become grey values, for the colours that the lines or the terminal give. */
export function photograph(lines: readonly string[], { ink, ground }: { ink: number; ground: number }) {
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
export function uncoloured(line: string): string {
  // eslint-disable-next-line no-control-regex
  const inner = /^\u001b\[38;5;16;48;5;231m([ ▀▄█]+)\u001b\[0m$/.exec(line)?.[1]
  if (inner === undefined) throw new Error(`not in black on white: ${JSON.stringify(line)}`)
  return inner
}
