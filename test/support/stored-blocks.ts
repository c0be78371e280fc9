import { open, readdir, readFile, stat } from 'node:fs/promises'
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

/** The block that holds a text. */
export async function blockWith(folder: string, text: string): Promise<StoredBlock> {
  for (const block of await storedBlocks(folder)) {
    const bytes = await readFile(block.file)
    if (bytes.subarray(block.offset, block.offset + block.length).includes(text)) return block
  }
  throw new Error(`no block holds ${text}`)
}

/** Flips a bit in the middle of a block, and touches nothing else: a node may be writing to the same file. */
export async function flipBitIn({ file, offset, length }: StoredBlock): Promise<void> {
  const at = offset + (length >> 1)
  const handle = await open(file, 'r+')
  try {
    const byte = new Uint8Array(1)
    await handle.read(byte, 0, 1, at)
    await handle.write(
      byte.map(value => value ^ 1),
      0,
      1,
      at
    )
  } finally {
    await handle.close()
  }
}
