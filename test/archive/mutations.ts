import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { TreePlan } from '../../node/archive/tree-writer.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { REFUSALS } from '../../protocol/foreign/frames.ts'
import { TarReader } from '../../protocol/foreign/tar-reader.ts'
import { Rng } from '../simulation/rng.ts'
import { pax, rawTar } from '../support/raw-tar.ts'
import type { RawEntry } from '../support/raw-tar.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Files by their paths, each with the digest of its bytes, and folders with none. */
export type Tree = ReadonlyMap<string, string>

const NAMES: readonly [string, ...string[]] = [
  'a',
  'b',
  'A',
  'a/b',
  'a/c',
  './a',
  './',
  'd/',
  'd/e/',
  'a//b',
  'a/./b',
  '.',
  'package.toml',
  'n'.repeat(99),
  '../x',
  '/x',
  'a/../../x',
  '..',
  'C:\\x',
  'a\\b',
  'con',
  '.git/config',
  '\u00e9',
  'e\u0301',
  'a\u202eb',
  'a\nb',
  ''
]
const SIZES = [' ', '7', '00000000010\0', '00000000010 ', '0000000001\x003', '-1', '99999999999', '77777777777']
type Over = readonly [at: number, bytes: string | Uint8Array]
const OVER: readonly [Over, ...Over[]] = [
  [124, ''.padEnd(12, '\0')],
  ...SIZES.map(text => [124, text.padEnd(12, '\0')] as const),
  [124, Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
  [100, '0004755\0'],
  [257, 'ustar  \0'],
  [257, '\0\0\0\0\0\0\0\0'],
  [345, 'prefix'],
  [345, '../'],
  [500, 'x']
]
type PaxRecord = readonly [string, string]
const RECORDS: readonly [PaxRecord, ...PaxRecord[]] = [
  ['path', 'p'],
  ['path', '../p'],
  ['path', 'p/'],
  ['path', 'a\0b'],
  ['size', '1'],
  ['size', '0'],
  ['linkpath', '/'],
  ['mtime', '1.5'],
  ['comment', 'x=y'],
  ['GNU.sparse.major', '1'],
  ['hdrcharset', 'BINARY']
]

const ENDS = [1024, 1024, 1024, 1024, 10_240, 512, 0] as const
const TYPES = ['0', '0', '0', '0', '5', '5', '\0', '1', '2', '3', '6', '7', 'Z'] as const
const LENGTHS = [0, 1, 511, 512, 513] as const

/** An archive as nobody packs one, with the checksums that it should have, and then a little damage. */
export function mutant(seed: number): Uint8Array {
  const rng = new Rng(`archive/${seed}`)
  const entries = Array.from({ length: 1 + rng.int(4) }, () => entry(rng)).flat()
  const made = rawTar(entries, { end: pick(rng, ENDS) })
  return rng.chance(0.25) ? damaged(made, rng) : made
}

function entry(rng: Rng): readonly RawEntry[] {
  const type = rng.chance(0.85) ? pick(rng, ['0', '0', '5']) : pick(rng, TYPES)
  const name = rng.chance(0.85) ? `f${rng.int(50)}/g${rng.int(50)}` : pick(rng, NAMES)
  const body = type === '0' || rng.chance(0.02) ? 'x'.repeat(pick(rng, LENGTHS)) : ''
  const over = rng.chance(0.07) ? [pick(rng, OVER)] : []
  const link = type === '1' || type === '2' || rng.chance(0.01) ? 'a' : ''
  const before: RawEntry[] = []
  if (rng.chance(0.08)) before.push(pax([pick(rng, RECORDS), ...(rng.chance(0.3) ? [pick(rng, RECORDS)] : [])]))
  if (rng.chance(0.03)) before.push(pax([pick(rng, RECORDS)], 'g'))
  if (rng.chance(0.05)) before.push({ name: '././@LongLink', type: 'L', body: `${pick(rng, NAMES)}\0` })
  return [...before, { name, type, body, over, link }]
}

function damaged(bytes: Buffer, rng: Rng): Buffer {
  const at = rng.int(bytes.length + 1)
  const block = 512 * rng.int(bytes.length / 512 + 1)
  switch (rng.int(5)) {
    case 0: {
      const out = Buffer.from(bytes)
      if (at < out.length) out[at] = rng.int(256)
      return out
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + rng.int(600))])
    case 2:
      return Buffer.concat([bytes.subarray(0, block), bytes.subarray(block + 512)])
    case 3:
      return Buffer.concat([bytes.subarray(0, block), bytes.subarray(0, 512), bytes.subarray(block)])
    default:
      return bytes.subarray(0, at)
  }
}

function pick<T>(rng: Rng, list: readonly [T, ...T[]]): T {
  return rng.pick(list) ?? list[0]
}

/** What is read of it, as the process does that reads archives; a code where it is refused. Throws whatever else is thrown. */
export function readInMemory(archive: Uint8Array, cut: number): Tree | string {
  const plan = new TreePlan()
  const tree = new Map<string, string>()
  let open: { readonly path: string; readonly hash: ReturnType<typeof createHash> } | undefined
  const close = (): void => void (open === undefined ? undefined : tree.set(open.path, open.hash.digest('hex')))
  const reader = new TarReader({
    entry: ({ kind, path, size, executable }) => {
      plan.take(kind === 'file' ? { type: 'file', path, size, executable } : { type: 'directory', path })
      close()
      open = kind === 'file' ? { path, hash: createHash('sha256') } : undefined
      for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
        tree.set(path.slice(0, slash), '')
      if (kind === 'directory') tree.set(path, '')
    },
    bytes: bytes => void open?.hash.update(bytes)
  })
  try {
    for (let at = 0; at < archive.length; at += cut) reader.write(archive.subarray(at, at + cut))
    reader.end()
    close()
    return tree
  } catch (error) {
    if (isRegistryError(error) && (REFUSALS as readonly string[]).includes(error.code)) return error.code
    throw error
  }
}

/** To be compared, and read where it differs. */
export function sorted(tree: Tree | string): unknown {
  return typeof tree === 'string' ? tree : [...tree].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** What is below a folder. */
export async function treeIn(folder: string): Promise<Tree> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  const all = found.map(async one => {
    const path = join(one.parentPath, one.name)
    const digest = one.isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : ''
    return [path.slice(folder.length + 1), one.isFile() || one.isDirectory() ? digest : 'a link'] as const
  })
  return new Map((await Promise.all(all)).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** What other programs make of an archive. */
export const OTHERS: Readonly<Record<string, (file: string, folder: string) => readonly [string, readonly string[]]>> =
  {
    'GNU tar': (file, folder) => ['tar', ['-C', folder, '--no-same-owner', '-xf', file]],
    'python tarfile': (file, folder) => [
      'python3',
      ['-c', 'import sys,tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])', file, folder]
    ],
    bsdtar: (file, folder) => ['bsdtar', ['-C', folder, '-xf', file]]
  }

/** The tree that another program unpacks; undefined where it is not on this machine. */
export async function unpackedBy(name: string, archive: Uint8Array): Promise<Tree | undefined> {
  const home = await tempDir('other')
  const [file, folder] = [join(home, 'archive.tar'), join(home, 'folder')]
  await Promise.all([writeFile(file, archive), mkdir(folder)])
  const [program, args] = OTHERS[name]?.(file, folder) ?? ['', []]
  try {
    await promisify(execFile)(program, args)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const tree = await treeIn(folder)
  await rm(home, { recursive: true })
  return tree
}

/** As it may come to us. */
export function packed(archive: Uint8Array, seed: number): Uint8Array {
  return seed % 2 === 0 ? archive : gzipSync(archive)
}
