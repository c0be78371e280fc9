import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import { create as createDigest, decode as decodeDigest } from 'multiformats/hashes/digest'
import { HEADER_BYTES } from '../../storage/segments/record.ts'
import { readSegment } from '../../storage/segments/read-segment.ts'

/** Where the bytes of one block are. */
export interface StoredBlock {
  readonly cid: CID
  readonly file: string
  readonly offset: number
  readonly length: number
}

/** Every block in a folder of blocks, read from its files: of one that a node has open, or that was damaged. */
export async function storedBlocks(folder: string): Promise<readonly StoredBlock[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter(entry => entry.isFile() && !entry.parentPath.endsWith('.quarantine'))
  const found: StoredBlock[] = []
  const deleted = new Set<string>()
  for (const { name, parentPath } of files) {
    const file = join(parentPath, name)
    if (name.endsWith('.data')) {
      const multihash = decodeDigest(base32upper.decode(name.slice(0, -'.data'.length)))
      found.push({ cid: CID.createV1(0x55, multihash), file, offset: 0, length: (await stat(file)).size })
    }
    if (!name.endsWith('.segment')) continue
    const rows = readSegment(file, file.replace(/segment$/, 'index'))?.rows
    for (const { segment, offset } of rows?.tombstones() ?? []) deleted.add(`${segment} ${offset}`)
    rows?.blocksBackwards((digest, offset, length) => {
      const cid = CID.createV1(0x55, createDigest(0x12, Uint8Array.from(digest)))
      found.push({ cid, file, offset: offset + HEADER_BYTES, length })
    })
  }
  return found.filter(({ file, offset }) => {
    const [, number] = /(\d+)\.segment$/.exec(file) ?? []
    return number === undefined || !deleted.has(`${Number(number)} ${offset - HEADER_BYTES}`)
  })
}

/** Flips a bit in the middle of a block. */
export async function flipBitIn({ file, offset, length }: StoredBlock): Promise<void> {
  const bytes = await readFile(file)
  const at = offset + (length >> 1)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(file, bytes)
}
