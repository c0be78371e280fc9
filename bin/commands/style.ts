import { styleText } from 'node:util'

/** How a verb looks: what was done, what was left as it was, what deserves a look, what went wrong. */
export type Tone = 'done' | 'same' | 'note' | 'bad'

const COLOURS = { done: 'green', same: 'dim', note: 'yellow', bad: 'red' } as const

/** Verbs end at this column, so that the eye runs down the names. */
const GUTTER = 12

/** A verb in a right-aligned gutter, then the rest. Colours only where standard output is a terminal that wants them. */
export function gutter(verb: string, text: string, tone: Tone = 'done'): string {
  const padding = ' '.repeat(Math.max(0, GUTTER - verb.length))
  return `${padding}${styleText([COLOURS[tone], 'bold'], verb, { stream: process.stdout })} ${text}`
}

/** A line below a verb, at the same column as its text. */
export function under(text: string): string {
  return `${' '.repeat(GUTTER + 1)}${text}`
}

/** What to do now. */
export function nextStep(command: string): string {
  return gutter('Next', command, 'note')
}

/** A text cut to the width of the terminal; whole where there is none, because a pipe wants all of it. */
export function fit(
  text: string,
  stream: { readonly isTTY?: boolean; readonly columns?: number } = process.stdout
): string {
  const width = stream.isTTY === true ? (stream.columns ?? 80) : Number.POSITIVE_INFINITY
  return text.length <= width ? text : `${text.slice(0, Math.max(1, width - 1))}…`
}

/** One node of a tree that is drawn with branches. */
export interface Branch {
  readonly label: string
  readonly children: readonly Branch[]
}

/** A tree as lines: `├── a`, `└── b`. */
export function drawTree(branches: readonly Branch[], prefix = ''): readonly string[] {
  return branches.flatMap(({ label, children }, i) => {
    const isLast = i === branches.length - 1
    const below = `${prefix}${isLast ? '    ' : '│   '}`
    return [`${prefix}${isLast ? '└── ' : '├── '}${label}`, ...drawTree(children, below)]
  })
}
