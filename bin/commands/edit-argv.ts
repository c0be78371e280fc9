/** Options of `edit` that take one value. */
const VALUED = [
  '--title',
  '--description',
  '--link',
  '--tag',
  '--undeprecate',
  '--maintainer',
  '--file',
  '--key',
  '--out'
]
/** Options of `edit` that take all signed words behind them. */
const WORDS = ['--keyword', '--category']
const DEPRECATE = '--deprecate'
/** Between the two values of `--deprecate`. No argument of a program can hold it. */
const BETWEEN = '\0'

/**
 * The command line with the values of `edit` tied to their options: `--keyword +x -y` becomes `--keyword=+x --keyword=-y`.
 * The parser takes what begins with a dash for an option of its own: `-y`, or a title such as `-Verbose`, would be one.
 */
export function editArgv(argv: readonly string[]): readonly string[] {
  const at = commandAt(argv)
  if (argv[at] !== 'edit') return argv
  const tied = argv.slice(0, at + 1)
  let rest: readonly string[] = argv.slice(at + 1)
  while (rest.length > 0 && rest[0] !== '--') {
    const [words, left] = tie(rest)
    tied.push(...words)
    rest = left
  }
  return [...tied, ...rest]
}

/** Where the command stands: behind node, the script and the options of the program, of which one takes a value. */
function commandAt(argv: readonly string[]): number {
  let at = 2
  while (argv[at]?.startsWith('-') === true) at += argv[at] === '--home' ? 2 : 1
  return at
}

/** What stands first, tied, and what is left. */
function tie([first = '', ...rest]: readonly string[]): readonly [readonly string[], readonly string[]] {
  const equals = first.indexOf('=')
  const name = equals < 0 ? first : first.slice(0, equals)
  const values = equals < 0 ? rest : [first.slice(equals + 1), ...rest]
  const [value, second] = values
  if (WORDS.includes(name)) {
    const count = wordsIn(values, equals >= 0)
    // Nothing behind it is said to the person by whoever reads the words.
    if (count === 0) return [[`${name}=`], values]
    return [values.slice(0, count).map(word => `${name}=${word}`), values.slice(count)]
  }
  if (name === DEPRECATE && value !== undefined) {
    // What looks like the next option is not the text: better say that one is missing.
    if (second === undefined || second.startsWith('--')) return [[`${name}=${value}`], values.slice(1)]
    return [[`${name}=${value}${BETWEEN}${second}`], values.slice(2)]
  }
  if (equals < 0 && VALUED.includes(name) && value !== undefined) return [[`${name}=${value}`], values.slice(1)]
  return [[first], rest]
}

/** How many words belong to the option: the first in any case, unless it is an option, and all that carry a sign. */
function wordsIn(values: readonly string[], isTied: boolean): number {
  const first = values[0]
  if (first === undefined || (!isTied && first.startsWith('--'))) return 0
  const unsigned = values.slice(1).findIndex(word => !/^[+-](?!-)/.test(word))
  return unsigned < 0 ? values.length : unsigned + 1
}

/** The range and the text of one `--deprecate`; the text is undefined when it was left away. */
export function deprecateParts(tied: string): readonly [string, string | undefined] {
  const at = tied.indexOf(BETWEEN)
  return at < 0 ? [tied, undefined] : [tied.slice(0, at), tied.slice(at + 1)]
}
