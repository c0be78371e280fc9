import type { Rule } from './import-rules.ts'
import { isIdentifier, isSyntaxNode, lineAt, walk, type SourceFile, type SyntaxNode } from './source-tree.ts'

const FILE_LINES = 400
const FUNCTION_LINES = 70

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

/** No file is longer than anyone reads in one go. */
export const filesAreShort: Rule = tree =>
  [...tree.files.values()].flatMap(({ path, text }) => {
    const lines = text.replace(/\n$/, '').split('\n').length
    return lines > FILE_LINES ? [`${path} has ${lines} lines, at most ${FILE_LINES} are allowed`] : []
  })

/** Blank lines and comments are free, as in the linter. The bodies of suites and benchmarks are lists, not functions to read. */
export const functionsAreShort: Rule = tree =>
  [...tree.files.values()].flatMap(file => {
    if (/^(test|bench)\//.test(file.path)) return []
    const code = withoutComments(file)
    const long: string[] = []
    walk(file.program, node => {
      if (!FUNCTIONS.has(node.type)) return
      const lines = code
        .slice(node.start, node.end)
        .split('\n')
        .filter(line => line.trim() !== '').length
      const where = `${file.path}:${lineAt(file.text, node.start)}`
      if (lines > FUNCTION_LINES)
        long.push(`${where} is a function of ${lines} lines, at most ${FUNCTION_LINES} are allowed`)
    })
    return long
  })

function withoutComments({ text, comments }: SourceFile): string {
  let code = text
  for (const { start, end } of comments) {
    code = code.slice(0, start) + code.slice(start, end).replace(/[^\n]/g, ' ') + code.slice(end)
  }
  return code
}

/** Only commands print and end the process. */
export const onlyCommandsPrintOrExit: Rule = tree =>
  [...tree.files.values()].flatMap(file => {
    if (/^(bin|bench|\.ci)\//.test(file.path)) return []
    return uses(file, node => {
      if (node.type === 'Identifier' && node['name'] === 'console') return 'uses console'
      return ['exit', 'abort', 'reallyExit'].some(name => isMember(node, 'process', name))
        ? 'ends the process'
        : undefined
    })
  })

/** The environment is read in one place, so that a setting has one meaning and tests can give another. */
export const onlyConfigReadsTheEnvironment: Rule = tree =>
  [...tree.files.values()].flatMap(file => {
    if (/^(bin|bench|test|\.ci)\/|^node\/config\.ts$/.test(file.path)) return []
    return uses(file, node => (isMember(node, 'process', 'env') ? 'reads the environment' : undefined))
  })

/** Open work that is noted in the code has an issue number or is deleted. */
export const todosHaveNumbers: Rule = tree =>
  [...tree.files.values()].flatMap(({ path, text, comments }) =>
    comments
      .filter(({ value }) => /\b(TODO|FIXME|HACK|XXX)\b(?!\s*\(?#\d+)/.test(value))
      .map(({ start }) => `${path}:${lineAt(text, start)} has a TODO without a number`)
  )

const IMPURE = new Set([
  '__dirname',
  '__filename',
  'Buffer',
  'crypto',
  'fetch',
  'globalThis',
  'performance',
  'process',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout'
])

/** The trusted core takes time, randomness and bytes as arguments. attestation/ may use Node's crypto, and Buffer with it. */
export const theCoreIsPure: Rule = tree =>
  [...tree.files.values()].flatMap(file => {
    const folder = /^(protocol|attestation)\//.exec(file.path)?.[1]
    if (folder === undefined) return []
    return uses(file, node => {
      if (isMember(node, 'Date', 'now')) return 'reads the clock'
      if (isMember(node, 'Math', 'random')) return 'rolls dice'
      if (isBareDate(node)) return 'reads the clock'
      const name = node.type === 'Identifier' ? String(node['name']) : ''
      if (folder === 'attestation' && name === 'Buffer') return undefined
      return IMPURE.has(name) ? `uses ${name}` : undefined
    })
  })

/** Every use of a name as a value, with its reason; names of fields and types do not count. */
function uses(file: SourceFile, reasonOf: (node: SyntaxNode) => string | undefined): readonly string[] {
  const found: string[] = []
  walk(file.program, (node, parent) => {
    if (node.type === 'Identifier' && parent !== undefined && isFieldName(node, parent)) return
    const reason = reasonOf(node)
    if (reason !== undefined) found.push(`${file.path}:${lineAt(file.text, node.start)} ${reason}`)
  })
  return found
}

function isFieldName(node: SyntaxNode, parent: SyntaxNode): boolean {
  if (parent['computed'] === true) return false
  if (parent.type === 'MemberExpression') return parent['property'] === node
  if (parent.type === 'Property')
    return parent['key'] === node && parent['value'] !== node && parent['shorthand'] !== true
  return parent['key'] === node || /^TS(Qualified|Type|Property|Method|Named)/.test(parent.type)
}

function isMember(node: SyntaxNode, object: string, property: string): boolean {
  if (node.type !== 'MemberExpression' || !isIdentifier(node['object'], object)) return false
  const name = node['property']
  if (!isSyntaxNode(name)) return false
  return node['computed'] === true ? name['value'] === property : name['name'] === property
}

/** `new Date()` and `Date()`; with an argument it is a conversion. */
function isBareDate(node: SyntaxNode): boolean {
  if (!isIdentifier(node['callee'], 'Date')) return false
  const given: unknown = node['arguments']
  return node.type === 'CallExpression' || (Array.isArray(given) && given.length === 0)
}
