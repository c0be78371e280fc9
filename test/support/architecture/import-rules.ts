import { isSharing } from '../sharing.ts'
import type { ImportReference, SourceFile, SourceTree } from './source-tree.ts'

/** A rule answers with one line per violation, each naming the file. */
export type Rule = (tree: SourceTree) => readonly string[]

interface Zone {
  /** Our own zones it may import, besides itself. */
  readonly own: readonly string[]
  /** The npm packages it may import. */
  readonly packages: readonly string[]
  /** Builtins: none, these, or any but those that reach the network or another process. */
  readonly builtins: 'none' | 'any' | 'local' | readonly string[]
}

const NETWORK_OR_PROCESS = new Set(
  ['net', 'tls', 'http', 'https', 'http2', 'dgram', 'dns', 'dns/promises', 'child_process', 'cluster'].map(
    name => `node:${name}`
  )
)

const LIBP2P_AND_HELIA = [
  '@helia/bitswap',
  '@helia/interface',
  '@libp2p/circuit-relay-v2',
  '@libp2p/crypto',
  '@libp2p/dcutr',
  '@libp2p/gossipsub',
  '@libp2p/identify',
  '@libp2p/interface',
  '@libp2p/kad-dht',
  '@libp2p/mdns',
  '@libp2p/noise',
  '@libp2p/peer-id',
  '@libp2p/ping',
  '@libp2p/tcp',
  '@libp2p/utils',
  '@libp2p/websockets',
  '@libp2p/yamux',
  '@multiformats/multiaddr',
  'helia',
  'interface-datastore',
  'libp2p',
  'xsalsa20'
]

const NODE_PARTS = ['node/runtime', 'node/archive', 'node/services', 'node/documents', 'node/p2p', 'node/http']

/**
 * Who may import whom, and what from outside. The longest zone that a path lies in applies; a zone that ends in `.ts`
 * is that one file. `test` and `bench` are not here: they may import everything, and nothing imports them.
 */
const ZONES: Readonly<Record<string, Zone>> = {
  protocol: {
    own: [],
    packages: [
      '@ipld/dag-pb',
      '@marcbachmann/cel-js',
      '@noble/ed25519',
      '@noble/hashes',
      'ipfs-unixfs',
      'multiformats',
      'semver',
      'spdx-license-ids'
    ],
    builtins: 'none'
  },
  attestation: {
    own: ['protocol'],
    packages: ['@noble/ed25519', '@noble/hashes', 'multiformats'],
    builtins: ['node:crypto']
  },
  storage: {
    own: ['protocol'],
    packages: [
      '@ipld/dag-pb',
      '@noble/hashes',
      'blockstore-fs',
      'datastore-level',
      'ipfs-unixfs',
      'ipfs-unixfs-importer',
      'level',
      'multiformats',
      'smol-toml'
    ],
    builtins: 'local'
  },
  'node/runtime': { own: ['protocol'], packages: ['pino'], builtins: 'local' },
  'node/services': {
    own: ['protocol', 'attestation', 'node/runtime'],
    packages: ['multiformats', 'semver'],
    builtins: 'local'
  },
  'node/p2p': {
    own: ['protocol', 'node/runtime'],
    packages: [...LIBP2P_AND_HELIA, '@ipld/dag-cbor', '@ipld/dag-pb', '@noble/hashes', 'multiformats'],
    builtins: 'any'
  },
  'node/documents': {
    own: ['protocol', 'node/runtime'],
    packages: ['@automerge/automerge', '@noble/hashes'],
    builtins: 'local'
  },
  'node/archive': {
    own: ['protocol', 'node/runtime'],
    packages: [],
    builtins: ['child_process', 'crypto', 'fs', 'fs/promises', 'path', 'stream', 'url', 'zlib'].map(
      name => `node:${name}`
    )
  },
  'node/http': { own: ['protocol', 'node/runtime', 'node/services'], packages: ['multiformats'], builtins: 'any' },
  node: {
    // The daemon and the in-process node of a command run what create-node.ts puts together.
    own: ['node/create-node.ts', 'protocol', 'attestation', 'storage', ...NODE_PARTS],
    packages: ['multiformats', 'smol-toml'],
    builtins: 'any'
  },
  'node/create-node.ts': {
    own: ['node', 'protocol', 'attestation', 'storage', ...NODE_PARTS],
    packages: [...LIBP2P_AND_HELIA, 'datastore-level', 'multiformats', 'smol-toml'],
    builtins: 'any'
  },
  'node/stubs': { own: [], packages: ['@helia/interface', '@libp2p/interface'], builtins: 'none' },
  bin: {
    own: ['node', 'node/create-node.ts', ...NODE_PARTS, 'protocol'],
    packages: ['commander', 'qr'],
    builtins: 'any'
  },
  'bin/build': { own: ['protocol'], packages: ['rolldown'], builtins: 'any' },
  web: { own: ['protocol'], packages: [], builtins: 'none' },
  '.ci': { own: [], packages: [], builtins: 'any' }
}

/** Free to import what they like; importing them is what is forbidden. */
const FREE_ZONES = ['test', 'bench']
const FREE_FILES = ['vitest.config.ts']

/** Each folder imports only what the table of arrows allows: our own folders, npm packages and builtins. */
export const importsFollowTheTable: Rule = tree =>
  [...tree.files.values()].flatMap(file => file.imports.flatMap(reference => arrow(tree, file, reference)))

function arrow(tree: SourceTree, file: SourceFile, reference: ImportReference): readonly string[] {
  const where = `${file.path}:${reference.line}`
  const { target, kind } = reference
  const free = FREE_ZONES.includes(topFolder(file.path)) || FREE_FILES.includes(file.path)
  if (kind === 'computed') return free ? [] : [`${where} imports a computed name, which no rule can check`]
  if (kind === 'own' && !tree.files.has(target) && target !== 'package.json') {
    return target.startsWith('node/stubs/')
      ? []
      : [`${where} imports ${target}, which is no source file of this repository`]
  }
  const from = zoneOf(file.path)
  if (from === undefined) {
    const config = !file.path.includes('/') && kind === 'package'
    return config || free ? [] : [`${where} lies in no zone of the table`]
  }
  const zone = ZONES[from]
  if (zone === undefined || allowed({ from, zone, reference })) return []
  return [`${where} (${from}) may not import ${target}`]
}

interface Arrow {
  readonly from: string
  readonly zone: Zone
  readonly reference: ImportReference
}

function allowed({ from, zone, reference: { kind, target, typeOnly } }: Arrow): boolean {
  switch (kind) {
    case 'own': {
      if (target === 'package.json') return from === 'bin'
      if (from === 'web' && zoneOf(target) === 'protocol') return typeOnly
      const to = zoneOf(target)
      return to !== undefined && (to === from || zone.own.includes(to))
    }
    case 'package':
      return zone.packages.includes(target)
    case 'builtin':
      if (zone.builtins === 'any') return true
      if (zone.builtins === 'local') return !NETWORK_OR_PROCESS.has(target)
      return zone.builtins !== 'none' && zone.builtins.includes(target)
    case 'computed':
      return false
  }
}

/** Who starts other programs, all of them ours: this one again, what reads archives, the demo, and the compiler of the build. */
const STARTS_PROGRAMS = new Set([
  'node/detach.ts',
  'node/archive/reader-process.ts',
  'bin/commands/demo-node.ts',
  'bin/build/declarations.ts'
])
const STARTERS = new Set(['node:child_process', 'node:cluster', 'node:vm'])

/** Nothing that a package ships is ever run, so who can run anything at all is known by name. */
export const fewStartPrograms: Rule = tree =>
  [...tree.files.values()].flatMap(({ path, imports }) =>
    STARTS_PROGRAMS.has(path) || FREE_ZONES.includes(topFolder(path))
      ? []
      : imports
          .filter(({ kind, target }) => kind === 'builtin' && STARTERS.has(target))
          .map(({ line, target }) => `${path}:${line} may not import ${target}: it could run what a package ships`)
  )

/** The longest entry of the table that a path lies in. */
function zoneOf(path: string): string | undefined {
  const matching = Object.keys(ZONES).filter(zone => path === zone || path.startsWith(`${zone}/`))
  return matching.sort((a, b) => b.length - a.length)[0]
}

function topFolder(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf('/')))
}

/** Nothing imports itself over a detour, type-only imports included. */
export const noCycles: Rule = tree => {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) {
      cycles.push(`import cycle: ${[...trail.slice(at), path].join(' -> ')}`)
      return
    }
    if (done.has(path)) return
    for (const { kind, target } of tree.files.get(path)?.imports ?? []) {
      if (kind === 'own') visit(target, [...trail, path])
    }
    done.add(path)
  }
  for (const path of tree.files.keys()) visit(path, [])
  return cycles
}

/**
 * What registers hooks when it is imported, which is what stands at the begin of a line: in a process that is shared it is imported once, and cleans up after the
 * first test file only.
 */
const CLEANS_UP = /^(?:after|before)(?:All|Each)\(/m

/** What belongs to the whole process: changed by one test file, or by several measured at once. */
const WHOLE_PROCESS =
  /\bprocess\.(?:cpuUsage|memoryUsage|resourceUsage|chdir|umask|on|once|env\b[^\n;=!<>]*=(?!=))|\bdelete process\.|\bvi\.(?:mock|doMock|stub\w+|useFakeTimers)\(/

/** Test files that share a process with others leave nothing there. */
export const sharingTestsLeaveNothing: Rule = tree => {
  const found: string[] = []
  for (const first of tree.files.keys()) {
    if (!isSharing(first)) continue
    const reached = new Set([first])
    for (const path of reached) {
      const { text, imports } = tree.files.get(path) ?? { text: '', imports: [] }
      const isTest = path.startsWith('test/')
      const belongs = isTest ? WHOLE_PROCESS.exec(text)?.[0] : undefined
      if (belongs !== undefined) found.push(`${first} shares a process and says ${belongs} in ${path}`)
      if (isTest && path !== first && CLEANS_UP.test(text)) {
        found.push(`${first} shares a process and reaches the hooks of ${path}`)
      }
      for (const { kind, target, typeOnly } of imports) {
        if (isTest && target === 'node:child_process') {
          found.push(`${first} shares a process and starts others by ${path}`)
        }
        if (kind === 'own' && !typeOnly) reached.add(target)
      }
    }
  }
  return found
}

/** `index.ts` is for those outside its folder. */
export const nobodyImportsTheirOwnIndex: Rule = tree =>
  [...tree.files.values()].flatMap(({ path, imports }) => {
    const index = `${path.slice(0, path.lastIndexOf('/') + 1)}index.ts`
    return imports
      .filter(({ target }) => target === index)
      .map(({ line }) => `${path}:${line} imports the index.ts of its own folder`)
  })

/** What is imported is a dependency of ours, not one of somebody else's that happens to be installed. */
export const packagesAreDeclared: Rule = tree => {
  const manifest: unknown = JSON.parse(tree.documents.get('package.json') ?? '{}')
  const names = (field: string): readonly string[] => Object.keys(Object(Reflect.get(Object(manifest), field)))
  const runtime = new Set(names('dependencies'))
  const tools = new Set([...runtime, ...names('devDependencies')])
  return [...tree.files.values()].flatMap(({ path, imports }) => {
    const shipped = zoneOf(path) !== undefined && zoneOf(path) !== 'bin/build'
    const declared = shipped ? runtime : tools
    return imports
      .filter(({ kind, target }) => kind === 'package' && !declared.has(target))
      .map(({ line, target }) => `${path}:${line} imports ${target}, which package.json does not declare for it`)
  })
}
