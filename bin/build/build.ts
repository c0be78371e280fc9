import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import type { Plugin } from 'rolldown'
import { RegistryError } from '../../protocol/errors.ts'
import { libraryDeclarations } from './declarations.ts'
import { thirdPartyLicences } from './licences.ts'

export interface BuildResult {
  readonly folder: string
  readonly version: string
  readonly modules: number
}

interface RootManifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly engines: Readonly<Record<string, string>>
}

const ROOT = resolve(import.meta.dirname, '..', '..')

/** Loads a native binary from beside its own code, so it can't be part of the bundle. */
const EXTERNAL = 'classic-level'

/** What `import 'ggen-node'` gives. */
const LIBRARY = 'node/index.ts'

/** How the names of Node's own modules begin in the bundle. */
const BUILTIN = '\0builtin:'

/**
 * What is loaded together lies in one file, because each file that Node looks for costs a millisecond: first what each
 * command needs, then what asks a daemon, the library, what the workers share with others, and the node. A module goes
 * with the first of them that needs it.
 */
const GROUPS = [
  { name: 'builtins', test: (id: string) => id.startsWith(BUILTIN) },
  { name: 'base', test: /[/\\](node[/\\]package-root|node[/\\]config-schema|bin[/\\]commands[/\\]run)\.ts$/ },
  { name: 'client', test: /[/\\]node[/\\]open-client\.ts$/ },
  { name: 'library', test: /[/\\]node[/\\]embed\.ts$/ },
  { name: 'documents', test: /[/\\]protocol[/\\]document[/\\][a-z-]+\.ts$/ },
  { name: 'archives', test: /[/\\]protocol[/\\]foreign[/\\][a-z-]+\.ts$/ },
  { name: 'node', test: /[/\\]node[/\\](create-node|daemon)\.ts$/ }
]

/** Programs of threads and processes of their own, and who starts them by the name of their file. */
const WORKERS = [
  {
    name: 'document-worker',
    entry: 'node/documents/worker.ts',
    startedBy: 'node/documents/worker-engine.ts',
    as: './worker.ts'
  },
  {
    name: 'archive-reader',
    entry: 'node/archive/child.ts',
    startedBy: 'node/archive/reader-process.ts',
    as: './child.ts'
  }
] as const

/** Automerge's code reads this file from the folder that it lies in itself. */
const WASM = { source: '@automerge/automerge/automerge.wasm', target: 'automerge_wasm_bg.wasm' } as const

/**
 * Writes the package that is published: `ggen-node.js` (the launcher), `chunks/` (the bundle of the command line, of the
 * library and of what runs in a thread or a process of its own, which share all but their entries) and what belongs to it.
 * A bundle, because overrides do not travel with a package: installed from its own dependency list it would bring
 * WebRTC and React Native.
 */
export async function buildPackage(folder: string): Promise<BuildResult> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(join(folder, 'chunks'), { recursive: true })
  const modules = await writeBundle(join(folder, 'chunks'))
  await cp(fileURLToPath(import.meta.resolve(WASM.source)), join(folder, 'chunks', WASM.target))
  await writeFile(join(folder, 'chunks', 'index.d.ts'), await libraryDeclarations(ROOT, LIBRARY))
  await writeFile(join(folder, 'THIRD-PARTY-LICENSES'), await thirdPartyLicences(modules))
  await writeLauncher(join(folder, 'ggen-node.js'))
  const version = await writeManifest(join(folder, 'package.json'))
  for (const name of ['README.md', 'LICENSE', 'examples']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }
  return { folder, version, modules: modules.size }
}

async function writeBundle(folder: string): Promise<Set<string>> {
  const bundle = await rolldown({
    cwd: ROOT,
    input: {
      main: 'bin/commands/main.ts',
      index: LIBRARY,
      ...Object.fromEntries(WORKERS.map(({ name, entry }) => [name, entry]))
    },
    platform: 'node',
    external: [EXTERNAL],
    plugins: [bundledWorkers(), lazyBuiltins()],
    // Where Automerge's CommonJS looks for its WebAssembly: a bundle of modules has no __dirname.
    transform: { define: { __dirname: 'import.meta.dirname' } },
    // What is loaded late in one place and at once in another lies with the latter.
    checks: { ineffectiveDynamicImport: false },
    logLevel: 'warn'
  })
  try {
    const { output } = await bundle.write({
      dir: folder,
      format: 'esm',
      minify: true,
      codeSplitting: { groups: GROUPS.map((group, index) => ({ ...group, priority: GROUPS.length - index })) },
      entryFileNames: '[name].js',
      chunkFileNames: '[name]-[hash].js'
    })
    const modules = new Set<string>()
    for (const file of output) if (file.type === 'chunk') for (const id of file.moduleIds) modules.add(id)
    // The launcher is CommonJS, so that old Nodes can parse it; the bundle is not.
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n')
    return modules
  } finally {
    await bundle.close()
  }
}

/** A thread or a process is started by the name of a file, which no bundler follows: it is pointed at the entry of the bundle. */
function bundledWorkers(): Plugin {
  return {
    name: 'bundled-workers',
    transform(code, id) {
      const started = WORKERS.find(({ startedBy }) => resolve(id) === join(ROOT, startedBy))
      return started === undefined ? undefined : replaced(code, started.as, `./${started.name}.js`)
    }
  }
}

/**
 * An `import` of one of Node's own modules reads all that it exports, and `node:http` then loads a whole HTTP client for
 * the sake of `WebSocket`: 60 ms of each command. Asked for by a call, a module gives only what is used of it.
 */
function lazyBuiltins(): Plugin {
  return {
    name: 'lazy-builtins',
    resolveId(id) {
      return isBuiltin(id) && !id.endsWith('module') ? { id: `${BUILTIN}${id}`, moduleSideEffects: false } : undefined
    },
    load(id) {
      if (!id.startsWith(BUILTIN)) return undefined
      return { code: `module.exports = process.getBuiltinModule('${id.slice(BUILTIN.length)}')`, moduleType: 'js' }
    }
  }
}

function replaced(text: string, from: string, to: string): string {
  if (!text.includes(`'${from}'`)) throw new RegistryError('INTERNAL', `the sources no longer mention ${from}`)
  return text.replace(`'${from}'`, `'${to}'`)
}

/** The launcher of the sources, pointed at the bundle. Its syntax is plain JavaScript already. */
async function writeLauncher(file: string): Promise<void> {
  let text = await readFile(join(ROOT, 'bin', 'ggen-node.ts'), 'utf8')
  for (const [from, to] of [
    ['../package.json', './package.json'],
    ['./commands/main.ts', './chunks/main.js']
  ] as const) {
    text = replaced(text, from, to)
  }
  await writeFile(file, text)
  await chmod(file, 0o755)
}

async function writeManifest(file: string): Promise<string> {
  const root = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as RootManifest
  const external = join(ROOT, 'node_modules', EXTERNAL, 'package.json')
  const { version } = JSON.parse(await readFile(external, 'utf8')) as { version: string }
  const manifest = {
    name: root.name,
    version: root.version,
    description: root.description,
    license: root.license,
    type: 'commonjs',
    bin: { 'ggen-node': 'ggen-node.js' },
    exports: {
      '.': { types: './chunks/index.d.ts', default: './chunks/index.js' },
      './package.json': './package.json'
    },
    engines: root.engines,
    dependencies: { [EXTERNAL]: version }
  }
  await writeFile(file, `${JSON.stringify(manifest, null, 2)}\n`)
  return root.version
}

if (import.meta.main) {
  const { folder, version, modules } = await buildPackage(resolve(process.argv[2] ?? join(ROOT, 'dist')))
  console.log(`built ggen-node ${version} from ${modules} modules in ${folder}`)
}
