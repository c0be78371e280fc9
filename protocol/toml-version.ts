/** Something that TOML 1.0 does not know, and where it is (both counted from one). */
export interface TomlFault {
  readonly line: number
  readonly column: number
  readonly message: string
}

const TIME_WITHOUT_SECONDS = /(?<![\d:+-])\d\d:\d\d(?![\d:])/y

/**
 * Finds what TOML 1.1 added in a text that is valid TOML 1.1: line ends and a last comma in an inline table, `\e` and
 * `\x` escapes, times without seconds. Manifests are TOML 1.0, for the tools that read them know nothing newer: a
 * package that is published must be readable by whoever installs it. One pass, no recursion.
 */
export function tomlFault(text: string): TomlFault | undefined {
  const open: string[] = []
  let last = ''
  for (let i = 0; i < text.length;) {
    const c = text.charAt(i)
    if (c === '"' || c === "'") {
      const string = skipString(text, i)
      if (string.fault !== undefined) return at(text, string.fault, 'an escape that only TOML 1.1 has')
      i = string.end
      last = c
      continue
    }
    if (c === '#') {
      const end = text.indexOf('\n', i)
      i = end < 0 ? text.length : end
      continue
    }
    if (c === '\n' && open.at(-1) === '{') return at(text, i, 'an inline table ends on the line it begins on')
    if (c === '{' || c === '[') open.push(c)
    if (c === '}' && last === ',') return at(text, i, 'an inline table has no comma after its last value')
    if (c === '}' || c === ']') open.pop()
    TIME_WITHOUT_SECONDS.lastIndex = i
    if (TIME_WITHOUT_SECONDS.test(text)) return at(text, i, 'a time needs seconds')
    if (c.trim() !== '') last = c
    i += 1
  }
  return undefined
}

function skipString(text: string, start: number): { end: number; fault?: number } {
  const quote = text.charAt(start)
  const mark = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote
  let i = start + mark.length
  while (i < text.length && !text.startsWith(mark, i)) {
    if (quote === '"' && text.charAt(i) === '\\') {
      const escaped = text.charAt(i + 1)
      if (escaped === 'e' || escaped === 'x') return { end: i, fault: i }
      i += 1
    }
    i += 1
  }
  i += mark.length
  // `""""two quotes at the end"""""` is one string: up to two more belong to it.
  for (let more = 0; mark.length === 3 && more < 2 && text.charAt(i) === quote; more++) i += 1
  return { end: i }
}

function at(text: string, offset: number, message: string): TomlFault {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  return { line, column: offset - before.lastIndexOf('\n'), message }
}
