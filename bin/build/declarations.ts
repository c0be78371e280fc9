import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { promisify } from 'node:util'
import { RegistryError } from '../../protocol/errors.ts'
import { parseDeclarations } from './declaration-module.ts'
import type { Declaration, DeclarationModule } from './declaration-module.ts'

/** The types of the library use `AsyncDisposable`, which a program that compiles for an older target does not have. */
const HEADER = '/// <reference lib="esnext.disposable" />\n'

/**
 * The declarations of the library as one text: what `entry` exports and what that refers to, and nothing else. It
 * imports nothing, so that a program compiles against it without any of our dependencies; a public type that needs one
 * fails the build.
 * @throws RegistryError INTERNAL
 */
export async function libraryDeclarations(root: string, entry: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ggen-types-'))
  try {
    await emitDeclarations(root, folder)
    return await rollDeclarations(entry.replace(/\.ts$/, '.d.ts'), async path => readFile(join(folder, path), 'utf8'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Without checking: that is what `npm run check` is for, and half a second here. */
async function emitDeclarations(root: string, folder: string): Promise<void> {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = [tsc, '--project', join(root, 'tsconfig.types.json'), '--noCheck', '--outDir', folder]
  try {
    await promisify(execFile)(process.execPath, args, { cwd: root })
  } catch (cause) {
    throw new RegistryError('INTERNAL', 'the declarations of the library could not be made', {
      cause,
      tried: [String(Reflect.get(Object(cause), 'stdout'))]
    })
  }
}

/** Puts the declarations that one module exports, from wherever they are, into one text. */
export async function rollDeclarations(entry: string, read: (path: string) => Promise<string>): Promise<string> {
  const modules = new Map<string, DeclarationModule>()
  const load = async (path: string): Promise<DeclarationModule> => {
    const known = modules.get(path)
    if (known !== undefined) return known
    const parsed = parseDeclarations(path, await read(path))
    modules.set(path, parsed)
    return parsed
  }
  const find = async (path: string, name: string): Promise<Declaration> => {
    const { declarations, exports } = await load(path)
    const source = exports.get(name)
    if (source === undefined) throw broken(`${path} exports no ${name}`)
    if (source.from !== undefined) return find(ownPath(path, source.from), source.name)
    const found = declarations.get(source.name)
    if (found === undefined) throw broken(`${path} exports ${name} and does not declare it`)
    return found
  }
  const resolve = async ({ path }: Declaration, name: string): Promise<Declaration | undefined> => {
    const { declarations, imports } = await load(path)
    const imported = imports.get(name)
    if (imported?.from === undefined) return declarations.get(name)
    return find(ownPath(path, imported.from), imported.name)
  }

  const exported = new Map<string, Declaration>()
  for (const name of (await load(entry)).exports.keys()) exported.set(name, await find(entry, name))
  const reached = await reach([...exported.values()], resolve)
  return print(exported, reached)
}

/** A declaration, and what each name in it stands for; a name that stands for nothing of ours is global. */
type Reached = ReadonlyMap<Declaration, ReadonlyMap<string, Declaration>>

async function reach(
  from: readonly Declaration[],
  resolve: (declaration: Declaration, name: string) => Promise<Declaration | undefined>
): Promise<Reached> {
  const reached = new Map<Declaration, Map<string, Declaration>>()
  const left = [...from]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (reached.has(next)) continue
    const meaning = new Map<string, Declaration>()
    reached.set(next, meaning)
    for (const name of new Set(next.parts.flatMap(part => part.references.map(reference => reference.name)))) {
      const target = await resolve(next, name)
      if (target === undefined) continue
      meaning.set(name, target)
      left.push(target)
    }
  }
  return reached
}

function print(exported: ReadonlyMap<string, Declaration>, reached: Reached): string {
  const names = namesOf(reached)
  const ordered = [...reached.keys()].toSorted((a, b) => compare(names.get(a) ?? '', names.get(b) ?? ''))
  const texts = ordered.map(declaration => textOf(declaration, reached.get(declaration), names))
  const list = [...exported].map(([name, declaration]) => {
    const local = names.get(declaration) ?? name
    return `${declaration.isType ? 'type ' : ''}${local === name ? name : `${local} as ${name}`}`
  })
  return `${HEADER}\n${texts.join('\n\n')}\n\nexport { ${list.join(', ')} }\n`
}

/**
 * One name for each declaration. Two modules may call different things the same, and one may give a type the name of a
 * global that another one uses: `Pick` in the solver is not TypeScript's.
 */
function namesOf(reached: Reached): ReadonlyMap<Declaration, string> {
  const taken = new Set<string>()
  for (const [{ parts }, meaning] of reached) {
    for (const { references } of parts) for (const { name } of references) if (!meaning.has(name)) taken.add(name)
  }
  const names = new Map<Declaration, string>()
  for (const declaration of reached.keys()) {
    let name = declaration.name
    for (let n = 2; taken.has(name); n++) name = `${declaration.name}_${n}`
    taken.add(name)
    names.set(declaration, name)
  }
  return names
}

function textOf(
  declaration: Declaration,
  meaning: ReadonlyMap<string, Declaration> | undefined,
  names: ReadonlyMap<Declaration, string>
): string {
  const parts = declaration.parts.map(({ text, comment, references }) => {
    let renamed = text
    // From the end, so that the places that are left stay where they are.
    for (const { name, start } of references.toSorted((a, b) => b.start - a.start)) {
      const target = name === declaration.name ? declaration : meaning?.get(name)
      const other = target === undefined ? name : (names.get(target) ?? name)
      if (other !== name) renamed = renamed.slice(0, start) + other + renamed.slice(start + name.length)
    }
    return comment === '' ? renamed : `${comment}\n${renamed}`
  })
  return parts.join('\n')
}

/** @throws RegistryError INTERNAL when a module is not ours */
function ownPath(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) {
    throw broken(`${from} brings ${specifier} into the public types, which programs that embed a node do not have`)
  }
  return posix.join(posix.dirname(from), specifier.replace(/\.ts$/, '.d.ts'))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function broken(message: string): RegistryError {
  return new RegistryError('INTERNAL', `types of the library: ${message}`)
}
