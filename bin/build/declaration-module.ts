import { parseSync } from 'rolldown/utils'
import { RegistryError } from '../../protocol/errors.ts'

/** A name inside a declaration that may stand for another one; the place counts from the start of its part. */
export interface Reference {
  readonly name: string
  readonly start: number
}

/** One statement; functions with overloads and merged interfaces have several under one name. */
export interface DeclarationPart {
  /** Without `export`. */
  readonly text: string
  readonly comment: string
  readonly references: readonly Reference[]
}

/** What one module says about one name. */
export interface Declaration {
  readonly path: string
  readonly name: string
  readonly isType: boolean
  readonly parts: readonly DeclarationPart[]
}

/** Where an imported or exported name comes from; without `from`, from the module itself. */
export interface NameSource {
  readonly from: string | undefined
  readonly name: string
}

/** A module of declarations, as `tsc` writes them. */
export interface DeclarationModule {
  readonly declarations: ReadonlyMap<string, Declaration>
  readonly imports: ReadonlyMap<string, NameSource>
  readonly exports: ReadonlyMap<string, NameSource>
}

interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

const TYPES = new Set(['TSInterfaceDeclaration', 'TSTypeAliasDeclaration'])
const VALUES = new Set(['TSDeclareFunction', 'ClassDeclaration', 'VariableDeclaration'])

/** Reads the forms of declaration that our sources come to; another one fails the build instead of being dropped. */
export function parseDeclarations(path: string, text: string): DeclarationModule {
  const { program, comments, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw unreadable(path, error.message)
  const declarations = new Map<string, Declaration>()
  const imports = new Map<string, NameSource>()
  const exports = new Map<string, NameSource>()
  const declare = (node: SyntaxNode, from: number): string => {
    const name = nameOf(path, node)
    const before = comments.filter(comment => comment.type === 'Block' && comment.end <= from).at(-1)
    const isOwn = before !== undefined && text.slice(before.end, from).trim() === ''
    const part: DeclarationPart = {
      text: text.slice(node.start, node.end),
      comment: isOwn ? text.slice(before.start, before.end) : '',
      references: referencesIn(path, node)
    }
    const parts = [...(declarations.get(name)?.parts ?? []), part]
    declarations.set(name, { path, name, isType: TYPES.has(node.type), parts })
    return name
  }
  for (const node of nodes(program.body)) {
    if (node.type === 'ImportDeclaration') {
      for (const [local, source] of importedNames(node)) imports.set(local, source)
    } else if (node.type === 'ExportNamedDeclaration') {
      const [inner] = nodes([node['declaration']])
      if (inner !== undefined) {
        const name = declare(inner, node.start)
        exports.set(name, { from: undefined, name })
      }
      for (const [name, source] of exportedNames(node)) exports.set(name, source)
    } else declare(node, node.start)
  }
  // What a module imports and exports again comes from where it was imported.
  for (const [name, source] of exports) {
    const imported = source.from === undefined ? imports.get(source.name) : undefined
    if (imported !== undefined) exports.set(name, imported)
  }
  return { declarations, imports, exports }
}

function nameOf(path: string, node: SyntaxNode): string {
  if (TYPES.has(node.type) || node.type !== 'VariableDeclaration') {
    const name = TYPES.has(node.type) || VALUES.has(node.type) ? identifier(node['id']) : undefined
    if (name !== undefined) return name
    throw unreadable(path, `it holds a ${node.type}`)
  }
  const [first, ...more] = nodes(node['declarations'])
  const name = identifier(first?.['id'])
  if (name === undefined || more.length > 0) throw unreadable(path, 'it declares several variables in one statement')
  return name
}

function importedNames(node: SyntaxNode): readonly (readonly [string, NameSource])[] {
  const from = literal(node['source'])
  return nodes(node['specifiers']).map(specifier => {
    const local = identifier(specifier['local']) ?? ''
    // A namespace or default import has no name of its own here; ours have none, and others are refused by their source.
    return [local, { from, name: identifier(specifier['imported']) ?? 'default' }] as const
  })
}

function exportedNames(node: SyntaxNode): readonly (readonly [string, NameSource])[] {
  const from = literal(node['source'])
  return nodes(node['specifiers']).map(specifier => {
    const name = identifier(specifier['local']) ?? ''
    return [identifier(specifier['exported']) ?? name, { from, name }] as const
  })
}

/** Every name but those of fields. Too many do no harm: what stands for nothing of ours is left as it is. */
function referencesIn(path: string, root: SyntaxNode): readonly Reference[] {
  const found: Reference[] = []
  const visit = (node: SyntaxNode): void => {
    if (node.type === 'TSImportType')
      throw unreadable(path, 'it holds an import() in a type; name the type in the source')
    const name = node.type === 'Identifier' ? identifier(node) : undefined
    if (name !== undefined) found.push({ name, start: node.start - root.start })
    for (const [field, value] of Object.entries(node)) {
      const isFieldName = (field === 'key' || field === 'property') && node['computed'] !== true
      const isMember = field === 'right' && node.type === 'TSQualifiedName'
      if (isFieldName || isMember) continue
      for (const child of nodes(Array.isArray(value) ? value : [value])) visit(child)
    }
  }
  visit(root)
  return found
}

function nodes(value: unknown): readonly SyntaxNode[] {
  return Array.isArray(value) ? value.filter(isSyntaxNode) : []
}

function isSyntaxNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string'
}

function identifier(node: unknown): string | undefined {
  const name: unknown = isSyntaxNode(node) ? node['name'] : undefined
  return typeof name === 'string' ? name : undefined
}

function literal(node: unknown): string | undefined {
  const value: unknown = isSyntaxNode(node) ? node['value'] : undefined
  return typeof value === 'string' ? value : undefined
}

function unreadable(path: string, why: string): RegistryError {
  return new RegistryError('INTERNAL', `types of the library: ${path} cannot be rolled up: ${why}`)
}
