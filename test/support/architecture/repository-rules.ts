import { ERROR_CODES } from '../../../protocol/errors.ts'
import { errorTable, tableIn } from '../error-table.ts'
import type { Rule } from './import-rules.ts'
import { isIdentifier, isSyntaxNode, literal, walk, type SourceFile, type SyntaxNode } from './source-tree.ts'

const TOP_FOLDERS = new Set([
  '.ci',
  'attestation',
  'bench',
  'bin',
  'docs',
  'examples',
  'node',
  'packaging',
  'protocol',
  'storage',
  'test',
  'web'
])

/** A new folder at the top is a decision, not an accident. */
export const topFoldersAreKnown: Rule = tree =>
  tree.folders.filter(folder => !TOP_FOLDERS.has(folder)).map(folder => `${folder}/ is no folder of the map`)

const DEPENDENCY_FIELDS = ['dependencies', 'devDependencies', 'optionalDependencies']

function dependencies(manifest: string | undefined): readonly [string, string][] {
  const parsed: unknown = JSON.parse(manifest ?? '{}')
  return DEPENDENCY_FIELDS.flatMap(field =>
    Object.entries(Object(Reflect.get(Object(parsed), field))).map(([name, version]): [string, string] => [
      name,
      String(version)
    ])
  )
}

/** A range would let tomorrow's release in without anybody looking. */
export const dependenciesArePinned: Rule = tree =>
  dependencies(tree.documents.get('package.json'))
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => `package.json: ${name} is "${version}", not one exact version`)

/** The lock file names no host, so one file serves every registry and mirror. */
export const lockFileNamesNoHost: Rule = tree =>
  /"resolved": "[a-z+]+:\/\//.test(tree.documents.get('package-lock.json') ?? '')
    ? ['package-lock.json holds a "resolved" address: keep omit-lockfile-registry-resolved on']
    : []

/** Every dependency has its line in docs/dependencies.md, and every line its dependency. */
export const dependenciesAreExplained: Rule = tree => {
  const declared = new Set(dependencies(tree.documents.get('package.json')).map(([name]) => name))
  const rows = (tree.documents.get('docs/dependencies.md') ?? '').split('\n').filter(line => line.startsWith('| `'))
  const explained = new Set(
    rows.flatMap(row => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(match => match[1] ?? ''))
  )
  return [
    ...[...declared].filter(name => !explained.has(name)).map(name => `docs/dependencies.md does not explain ${name}`),
    ...[...explained]
      .filter(name => !declared.has(name))
      .map(name => `docs/dependencies.md explains ${name}, which is no dependency`)
  ]
}

/** The README's table of error codes is the one in protocol/errors.ts. */
export const errorTableIsCurrent: Rule = tree => {
  const table = tableIn(tree.documents.get('README.md') ?? '')
  if (table === undefined) return ['README.md has no error table between its markers']
  return table === errorTable()
    ? []
    : ['README.md: the error table is out of date, run node test/support/error-table.ts']
}

/** Each row of test/bad-input.md names a code that exists and a test that exists in the file it names. */
export const badInputRowsAreTested: Rule = tree => {
  const document = tree.documents.get('test/bad-input.md')
  if (document === undefined) return ['test/bad-input.md is missing']
  const [header, ...rows] = tableRows(document)
  const columns = ['code', 'file', 'test'].map(name => header?.indexOf(name) ?? -1)
  if (columns.includes(-1)) return ['test/bad-input.md has no table with the columns code, file and test']
  if (rows.length === 0) return ['test/bad-input.md has no row']
  return rows.flatMap((row, index) => {
    const [code = '', path = '', title = ''] = columns.map(column => row[column] ?? '')
    const where = `test/bad-input.md row ${index + 1}`
    const file = tree.files.get(path)
    return [
      ...(code === 'none' || code in ERROR_CODES ? [] : [`${where}: ${code} is no error code`]),
      ...(file === undefined ? [`${where}: ${path} is no test file`] : []),
      ...(file === undefined || testTitles(file).has(title) ? [] : [`${where}: ${path} has no test "${title}"`])
    ]
  })
}

/** The cells of all table rows, code marks removed, without the line of dashes. */
function tableRows(document: string): readonly (readonly string[])[] {
  return document
    .split('\n')
    .filter(line => line.startsWith('|') && !/^[|\s:-]+$/.test(line))
    .map(line => {
      const cells = line.replaceAll('\\|', '\0').split('|').slice(1, -1)
      return cells.map(cell =>
        cell
          .replaceAll('\0', '|')
          .trim()
          .replace(/^`([^`]*)`$/, '$1')
      )
    })
}

/** The titles of the tests a file holds, as they are written: `test('…')`, `it.each(…)('…')` and the like. */
function testTitles(file: SourceFile): ReadonlySet<string> {
  const titles = new Set<string>()
  walk(file.program, node => {
    const given: unknown = node['arguments']
    if (node.type !== 'CallExpression' || !isTestFunction(node['callee']) || !Array.isArray(given)) return
    const title = literal(given[0])
    if (title !== undefined) titles.add(title)
  })
  return titles
}

/** `test`, `it`, and what hangs on them: `.each(…)`, `.skipIf(…)`, `.concurrent`. A test that never runs (`.skip`, `.todo`) tests nothing. */
function isTestFunction(callee: unknown): boolean {
  for (let node = callee; isSyntaxNode(node); node = inner(node)) {
    if (node['name'] === 'test' || node['name'] === 'it') return true
    const property = node['property']
    if (isIdentifier(property, 'skip') || isIdentifier(property, 'todo')) return false
  }
  return false
}

function inner(node: SyntaxNode): unknown {
  if (node.type === 'MemberExpression') return node['object']
  if (node.type === 'CallExpression') return node['callee']
  return node.type === 'TaggedTemplateExpression' ? node['tag'] : undefined
}
