import { readdir, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join, posix } from 'node:path'
import { parseSync } from 'rolldown/utils'

/** A node of the syntax tree, seen from outside: a type, a place, and whatever else the grammar gives it. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

/** One arrow out of a file, whatever spelling it has: import, export from, import type, import(), require, new URL. */
export interface ImportReference {
  /** A path inside the repository for our own files, `node:…` for a builtin, else the package's name. */
  readonly target: string
  readonly kind: 'own' | 'builtin' | 'package' | 'computed'
  readonly typeOnly: boolean
  readonly line: number
}

export interface SourceFile {
  readonly path: string
  readonly text: string
  readonly program: SyntaxNode
  readonly comments: readonly { readonly value: string; readonly start: number; readonly end: number }[]
  readonly imports: readonly ImportReference[]
}

/** What the rules look at: parsed sources, and the few documents they compare them with. */
export interface SourceTree {
  readonly folders: readonly string[]
  readonly files: ReadonlyMap<string, SourceFile>
  readonly documents: ReadonlyMap<string, string>
}

/** Made by tools, never committed. */
const GENERATED = new Set(['node_modules', 'dist', 'coverage', '.git', '.ggen'])
const DOCUMENTS = ['README.md', 'package.json', 'package-lock.json', 'docs/dependencies.md', 'test/bad-input.md']

/** Reads and parses every TypeScript file of the repository. */
export async function readSourceTree(root: string): Promise<SourceTree> {
  const top = (await readdir(root, { withFileTypes: true })).filter(entry => !GENERATED.has(entry.name))
  const folders = top.filter(entry => entry.isDirectory()).map(entry => entry.name)
  const paths = top.filter(entry => entry.isFile() && entry.name.endsWith('.ts')).map(entry => entry.name)
  for (const folder of folders) {
    const below = await readdir(join(root, folder), { recursive: true })
    for (const name of below) {
      const path = posix.join(folder, name.replaceAll('\\', '/'))
      const generated = path.split('/').some(part => GENERATED.has(part))
      if (path.endsWith('.ts') && !generated && !path.startsWith('examples/')) paths.push(path)
    }
  }
  const texts = new Map<string, string>()
  for (const path of [...paths.sort(), ...DOCUMENTS]) {
    const text = await readFile(join(root, path), 'utf8').catch(() => undefined)
    if (text !== undefined) texts.set(path, text)
  }
  return treeOf(texts, folders)
}

/** A copy of a tree with some files added or replaced: how a violation is planted. */
export function plant(tree: SourceTree, files: Readonly<Record<string, string>>): SourceTree {
  const planted = treeOf(new Map(Object.entries(files)), [])
  const added = Object.keys(files).flatMap(path => (path.includes('/') ? [path.slice(0, path.indexOf('/'))] : []))
  return {
    folders: [...new Set([...tree.folders, ...added])],
    files: new Map([...tree.files, ...planted.files]),
    documents: new Map([...tree.documents, ...planted.documents])
  }
}

function treeOf(texts: ReadonlyMap<string, string>, folders: readonly string[]): SourceTree {
  const files = new Map<string, SourceFile>()
  const documents = new Map<string, string>()
  for (const [path, text] of texts) {
    if (path.endsWith('.ts')) files.set(path, parseSource(path, text))
    else documents.set(path, text)
  }
  return { folders, files, documents }
}

/** The line, counted from one, of a position in a text. */
export function lineAt(text: string, position: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at >= 0 && at < position; at = text.indexOf('\n', at + 1)) line++
  return line
}

export function isSyntaxNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string'
}

/** Visits a node and all below it, each with its parent. */
export function walk(node: SyntaxNode, visit: (node: SyntaxNode, parent: SyntaxNode | undefined) => void): void {
  const stack: [SyntaxNode, SyntaxNode | undefined][] = [[node, undefined]]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [current, parent] = next
    visit(current, parent)
    for (const value of Object.values(current).reverse()) {
      const children: readonly unknown[] = Array.isArray(value) ? value.toReversed() : [value]
      for (const child of children) if (isSyntaxNode(child)) stack.push([child, current])
    }
  }
}

function parseSource(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  const root: unknown = program
  if (!isSyntaxNode(root)) throw new Error(`${path} has no program`)
  const imports: ImportReference[] = []
  walk(root, node => {
    const found = importOf(node)
    if (found === undefined) return
    imports.push({ ...resolve(path, found.specifier), typeOnly: found.typeOnly, line: lineAt(text, node.start) })
  })
  return { path, text, program: root, comments, imports }
}

function importOf(node: SyntaxNode): { specifier: string | undefined; typeOnly: boolean } | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      return { specifier: literal(node['source']), typeOnly: node['importKind'] === 'type' }
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      if (node['source'] === null) return undefined
      return { specifier: literal(node['source']), typeOnly: node['exportKind'] === 'type' }
    case 'TSImportType':
      return { specifier: literal(node['source']), typeOnly: true }
    case 'TSExternalModuleReference':
      return { specifier: literal(node['expression']), typeOnly: false }
    case 'ImportExpression':
      return { specifier: literal(node['source']), typeOnly: false }
    case 'CallExpression':
      return isIdentifier(node['callee'], 'require')
        ? { specifier: literal(argument(node)), typeOnly: false }
        : undefined
    case 'NewExpression':
      return workerImport(node)
    default:
      return undefined
  }
}

/** `new URL('./worker.ts', import.meta.url)`: how a worker is named. Other URLs are no arrows. */
function workerImport(node: SyntaxNode): { specifier: string; typeOnly: false } | undefined {
  const specifier = isIdentifier(node['callee'], 'URL') ? literal(argument(node)) : undefined
  return specifier?.startsWith('.') === true && specifier.endsWith('.ts') ? { specifier, typeOnly: false } : undefined
}

function resolve(from: string, specifier: string | undefined): Pick<ImportReference, 'target' | 'kind'> {
  if (specifier === undefined) return { target: '?', kind: 'computed' }
  if (specifier.startsWith('.')) return { target: posix.join(posix.dirname(from), specifier), kind: 'own' }
  if (isBuiltin(specifier)) return { target: `node:${specifier.replace(/^node:/, '')}`, kind: 'builtin' }
  const parts = specifier.split('/')
  return { target: parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/'), kind: 'package' }
}

function argument(node: SyntaxNode): unknown {
  const list: unknown = node['arguments']
  return Array.isArray(list) ? list[0] : undefined
}

/** The text of a string literal, or of a template without holes. */
export function literal(value: unknown): string | undefined {
  if (!isSyntaxNode(value)) return undefined
  if (value.type === 'Literal') return typeof value['value'] === 'string' ? value['value'] : undefined
  if (value.type !== 'TemplateLiteral') return undefined
  const quasis: unknown = value['quasis']
  if (!Array.isArray(quasis) || quasis.length !== 1 || !isSyntaxNode(quasis[0])) return undefined
  const cooked: unknown = Reflect.get(Object(quasis[0]['value']), 'cooked')
  return typeof cooked === 'string' ? cooked : undefined
}

export function isIdentifier(value: unknown, name: string): value is SyntaxNode {
  return isSyntaxNode(value) && value.type === 'Identifier' && value['name'] === name
}
