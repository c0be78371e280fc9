import { encodeQR } from 'qr'

/** What a code is drawn on. */
export interface Canvas {
  /** Whether colours may be set: then the code looks the same whatever the colours of the terminal are. */
  readonly colours: boolean
  readonly columns: number
}

/** Light modules around a code, as the standard wants them; readers make do with half of them. */
const QUIET = [4, 2] as const

/** The least that the encoder draws itself. */
const BORDER = 1

/** Black on white, by their place in the palette of 256, which themes leave alone. */
const ON = '\u001b[38;5;16;48;5;231m'
const OFF = '\u001b[0m'

/**
 * A text as a QR code, two modules in each character; or how many columns it needs, where there are fewer. Without
 * colours the light modules are drawn, for a dark background; on a light one the code is inverted, which most readers
 * take.
 */
export function drawQr(text: string, { colours, columns }: Canvas): readonly string[] | number {
  // A screen has no scratches: the lowest level of correction makes the smallest code.
  const bordered = encodeQR(text, 'raw', { ecc: 'low', border: BORDER })
  const modules = bordered.length - 2 * BORDER
  const quiet = QUIET.find(border => modules + 2 * border <= columns)
  if (quiet === undefined) return modules + 2 * QUIET[1]
  const isDark = (x: number, y: number): boolean => bordered[y - quiet + BORDER]?.[x - quiet + BORDER] === true
  const size = modules + 2 * quiet
  const lines: string[] = []
  for (let y = 0; y < size; y += 2) {
    let line = ''
    for (let x = 0; x < size; x += 1) line += halves(isDark(x, y) === colours, isDark(x, y + 1) === colours)
    lines.push(colours ? `${ON}${line}${OFF}` : line)
  }
  return lines
}

function halves(upper: boolean, lower: boolean): string {
  if (upper) return lower ? '█' : '▀'
  return lower ? '▄' : ' '
}
