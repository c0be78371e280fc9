import { createCipheriv, createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { importFolder } from '../../storage/content/import-folder.ts'
import { readerOf, readTree } from '../../storage/content/walk-dag.ts'
import { MemoryBlocks, tempDir, writeTree } from './support.ts'

/**
 * Expected CIDs come from other implementations: kubo (Go), `test/cli/cid_profiles_test.go` at commit 00fb95d6, profile
 * unixfs-v1-2025 of IPIP-499, and filecoin-pin's conformance test of the same profile for the two around one chunk.
 */
function keystream(size: number, seed: string): Uint8Array {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('chacha20', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

/** kubo's createDeterministicFiles: names from a fixed 1 MiB keystream. */
function names(lastLength: number): string[] {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz01234567890-_'
  const stream = keystream(1_048_576, 'hamt-unixfs-v1-2025')
  return Array.from({ length: 4_766 }, (_, i) => {
    const part = stream.subarray(i * 11, i * 11 + (i === 4_765 ? lastLength : 11))
    return Array.from(part, byte => alphabet.charAt(byte % alphabet.length)).join('')
  })
}

async function fileCids(files: Readonly<Record<string, string | Uint8Array>>): Promise<Record<string, string>> {
  const blocks = new MemoryBlocks()
  const { root } = await importFolder(await writeTree(await tempDir(), files), blocks)
  const tree = await readTree(readerOf(blocks, {}), root)
  return Object.fromEntries(tree.files.map(({ path, cid }) => [path, cid.toString()]))
}

async function rootCid(files: Readonly<Record<string, string | Uint8Array | null>>): Promise<string> {
  return (await importFolder(await writeTree(await tempDir(), files), new MemoryBlocks())).root
}

describe('files have the CIDs that other IPFS implementations give them', () => {
  test('in one block, at the chunk size and one byte above it', async () => {
    const boundary = keystream(1_048_577, 'chunk-v1-seed')
    expect(
      await fileCids({
        'hello.txt': 'hello world',
        'empty.txt': '',
        'chunk.bin': boundary.subarray(0, 1_048_576),
        'chunk-and-a-byte.bin': boundary
      })
    ).toEqual({
      'hello.txt': 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e',
      // The raw block of no bytes, as kubo and every gateway know it.
      'empty.txt': 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
      'chunk.bin': 'bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta',
      'chunk-and-a-byte.bin': 'bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64'
    })
  })
})

describe('directories have the CIDs that other IPFS implementations give them', () => {
  test('an empty one', async () => {
    expect(await rootCid({})).toBe('bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354')
  })

  test('flat up to a node of exactly 256 KiB', async () => {
    const files = Object.fromEntries(names(21).map(name => [name, 'x']))
    expect(await rootCid(files)).toBe('bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4')
  })

  test('sharded one byte above that, and read back whole', async () => {
    const blocks = new MemoryBlocks()
    const files = Object.fromEntries(names(22).map(name => [name, 'x']))
    const { root } = await importFolder(await writeTree(await tempDir(), files), blocks)
    expect(root).toBe('bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu')
    const tree = await readTree(readerOf(blocks, {}), root)
    expect(tree.files.map(file => file.path)).toEqual(Object.keys(files).toSorted())
  })

  test('sharded for the size of its sub-folders as for that of its files', async () => {
    const blocks = new MemoryBlocks()
    const folders = Object.fromEntries(names(22).map(name => [`${name}/f`, 'x']))
    const { root } = await importFolder(await writeTree(await tempDir(), folders), blocks)
    const block = blocks.map.get(root)
    expect(block?.length).toBeLessThan(100_000)
    expect((await readTree(readerOf(blocks, {}), root)).directories).toHaveLength(4_766)
  })
})
