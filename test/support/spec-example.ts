import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromHex } from '../../protocol/bytes.ts'
import { REPOSITORY } from './shared.ts'

/** The worked example of a specification: lines of `name = value`. */
export interface SpecExample {
  /** The whole document. */
  readonly document: string
  readonly text: (name: string) => string
  /** The value of a line in hex. */
  readonly bytes: (name: string) => Uint8Array
}

/** @param name the file in docs/spec, without its ending */
export function specExample(name: string): SpecExample {
  const document = readFileSync(join(REPOSITORY, 'docs', 'spec', `${name}.md`), 'utf8')
  const example = /```example\n([\s\S]*?)```/.exec(document)?.[1] ?? ''
  const lines = new Map(
    example
      .trim()
      .split('\n')
      .map(line => [line.slice(0, line.indexOf(' = ')), line.slice(line.indexOf(' = ') + 3)] as const)
  )
  const text = (line: string): string => {
    const value = lines.get(line)
    if (value === undefined) throw new Error(`the example has no line "${line}"`)
    return value
  }
  const bytes = (line: string): Uint8Array => {
    const value = fromHex(text(line))
    if (value === undefined) throw new Error(`"${line}" is not hex`)
    return value
  }
  return { document, text, bytes }
}
