import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encode, prepare } from '@ipld/dag-pb'
import type { PBLink, PBNode } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { onTestFinished } from 'vitest'
import { parseContentId } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryError } from '../../protocol/errors.ts'

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url))
const shared = join(repositoryRoot, '..', 'shared')
export const marketplace = join(shared, 'data', 'ggen-marketplace')
export const packs = join(shared, 'data', 'ggen-packs')
export const hasShared = existsSync(marketplace)

export async function tempDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ggen-content-'))
  onTestFinished(async () => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Blocks in memory, by multihash and codec as every IPFS blockstore keeps them. */
export class MemoryBlocks {
  readonly map = new Map<string, Uint8Array>()
  gets = 0

  put(cid: CID, bytes: Uint8Array): CID {
    this.map.set(cid.toString(), Uint8Array.from(bytes))
    return cid
  }

  async *get(cid: CID): AsyncGenerator<Uint8Array> {
    this.gets += 1
    const bytes = this.map.get(cid.toString())
    if (bytes === undefined) throw new Error(`no block ${cid.toString()}`)
    yield bytes
  }

  raw(bytes: Uint8Array | string): CID {
    return this.put(cidOf(0x55, Buffer.from(bytes)), Buffer.from(bytes))
  }

  node(node: PBNode): CID {
    const bytes = encode(prepare(node))
    return this.put(cidOf(0x70, bytes), bytes)
  }

  bytes(bytes: Uint8Array): CID {
    return this.put(cidOf(0x70, bytes), bytes)
  }

  directory(links: readonly (readonly [name: string, cid: CID, size?: number])[]): CID {
    const sorted = links.map(([Name, Hash, Tsize = 1]): PBLink => ({ Name, Hash, Tsize }))
    return this.node({ Data: new UnixFS({ type: 'directory' }).marshal(), Links: sorted })
  }
}

export function cidOf(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, createDigest(0x12, createHash('sha256').update(bytes).digest()))
}

export function rootOf(cid: CID): ContentId {
  return parseContentId(cid.toString())
}

export type Tree = Readonly<Record<string, string | Uint8Array | null>>

/** Writes files (text or bytes) and empty folders (null). A path that begins with "!" becomes executable. */
export async function writeTree(folder: string, tree: Tree): Promise<string> {
  const write = async ([key, content]: readonly [string, string | Uint8Array | null]): Promise<void> => {
    const path = join(folder, key.replace(/^!/, ''))
    if (content === null) await mkdir(path, { recursive: true })
    else {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, content)
      if (key.startsWith('!')) await chmod(path, 0o755)
    }
  }
  const entries = Object.entries(tree)
  for (let from = 0; from < entries.length; from += 64) await Promise.all(entries.slice(from, from + 64).map(write))
  return folder
}

/** Every file of a folder as hex with its mode, and every folder, so that two folders can be compared. */
export async function readTreeOf(folder: string): Promise<Record<string, string>> {
  const out: Record<string, string> = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const { mode } = await lstat(path)
    const bytes = entry.isDirectory()
      ? 'folder'
      : createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
    out[path.slice(folder.length + 1)] = entry.isDirectory() ? bytes : `${(mode & 0o111) === 0 ? '-' : 'x'} ${bytes}`
  }
  return out
}

/** The refusal that a promise ends in. */
export async function refusal(promise: Promise<unknown>): Promise<RegistryError> {
  const error: unknown = await promise.then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown
  )
  if (!isRegistryError(error)) throw error
  return error
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of source) out.push(item)
  return out
}
