import { sha256 } from '@noble/hashes/sha2.js'
import { encode, prepare } from '@ipld/dag-pb'
import type { PBNode } from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { parseContentId } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { DAG_PB, RAW } from '../../protocol/unixfs-node.ts'

/** Chunks of eight bytes, so that a file of several leaves is small. */
export const SMALL: ContentLimits = { ...LIMITS.content, chunkBytes: 8 }

/** Blocks by their CIDs, in the order in which they were made: what a node names comes before it. */
export class DagBlocks {
  readonly map = new Map<string, { readonly cid: CID; readonly bytes: Uint8Array }>()

  raw(bytes: Uint8Array): CID {
    return this.#add(RAW, bytes)
  }

  node(node: PBNode): CID {
    return this.#add(DAG_PB, encode(prepare(node)))
  }

  folder(entries: Readonly<Record<string, CID>>): CID {
    const links = Object.entries(entries).map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 }))
    return this.node({ Data: new UnixFS({ type: 'directory' }).marshal(), Links: links })
  }

  /** One raw block, or a node over leaves of `chunkBytes`. */
  file(bytes: Uint8Array, chunkBytes: number): CID {
    if (bytes.length <= chunkBytes) return this.raw(bytes)
    const leaves = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, i) =>
      bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)
    )
    const unixfs = new UnixFS({ type: 'file', blockSizes: leaves.map(({ length }) => BigInt(length)) })
    const links = leaves.map(leaf => ({ Name: '', Hash: this.raw(leaf), Tsize: leaf.length }))
    return this.node({ Data: unixfs.marshal(), Links: links })
  }

  bytes(cid: CID): Uint8Array {
    const found = this.map.get(cid.toString())
    if (found === undefined) throw new Error(`no block ${cid.toString()}`)
    return found.bytes
  }

  #add(code: number, bytes: Uint8Array): CID {
    const cid = CID.createV1(code, createDigest(0x12, sha256(bytes)))
    this.map.set(cid.toString(), { cid, bytes })
    return cid
  }
}

export interface MadeDag {
  readonly blocks: DagBlocks
  readonly root: ContentId
  /** Bytes of its files, each as often as it is named. */
  readonly size: number
}

export function rootOf(cid: CID): ContentId {
  return parseContentId(cid.toString())
}

type Tree = Uint8Array | { readonly [name: string]: Tree }

/** Folders and files of few different bytes, so that equal files and folders come up often. */
const { tree } = fc.letrec<{ tree: Tree; file: Uint8Array; folder: { readonly [name: string]: Tree } }>(tie => ({
  file: fc.array(fc.constantFrom(0, 1), { maxLength: 40 }).map(bytes => Uint8Array.from(bytes)),
  folder: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), tie('tree'), { maxKeys: 5 }),
  tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('file'), tie('folder'))
}))

export const randomDag: fc.Arbitrary<MadeDag> = fc
  .dictionary(fc.constantFrom('v', 'w', 'x', 'y', 'z'), tree, { minKeys: 1, maxKeys: 5 })
  .map(made => {
    const blocks = new DagBlocks()
    let size = 0
    const put = (one: Tree): CID => {
      if (one instanceof Uint8Array) {
        size += one.length
        return blocks.file(one, SMALL.chunkBytes)
      }
      return blocks.folder(Object.fromEntries(Object.entries(one).map(([name, child]) => [name, put(child)])))
    }
    return { root: rootOf(put(made)), blocks, size }
  })
