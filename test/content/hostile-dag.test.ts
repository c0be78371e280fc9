import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { encode, prepare } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { unpackTo } from '../../storage/content/export-folder.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { listBlocks } from '../../storage/content/walk-dag.ts'
import { collect, cidOf, MemoryBlocks, refusal, rootOf, tempDir, writeTree } from './support.ts'
import type { RegistryError } from '../../protocol/errors.ts'

const MiB = 1024 * 1024

/** Tries to unpack and checks that nothing at all was left behind. */
async function refused(blocks: MemoryBlocks, root: CID, declaredSize = 1, late = false): Promise<RegistryError> {
  const folder = await tempDir()
  const options = { declaredSize, executables: [], expectDigests: { sha256: new Uint8Array(32) } }
  const error = await refusal(unpackTo(rootOf(root), blocks, join(folder, 'out'), options))
  expect(await readdir(folder)).toEqual([])
  // A release that declares a wrong size or digest is refused anyway, and would hide that the tree was let through.
  if (!late) expect(error.message).not.toMatch(/declares/)
  return error
}

function fileNode(blocks: MemoryBlocks, leaves: readonly (readonly [CID, number])[]): CID {
  const unixfs = new UnixFS({ type: 'file', blockSizes: leaves.map(([, size]) => BigInt(size)) })
  return blocks.node({ Data: unixfs.marshal(), Links: leaves.map(([Hash, Tsize]) => ({ Name: '', Tsize, Hash })) })
}

describe('hostile names in a DAG', () => {
  test.each(['..', '.', '', '/etc/passwd', '../x', 'a/../../x', 'a\\b', 'C:x', '.git', 'a\nb', 'con', 'x'.repeat(256)])(
    'refuses %j',
    async name => {
      const blocks = new MemoryBlocks()
      const error = await refused(blocks, blocks.directory([[name, blocks.raw('x')]]))
      expect(['HOSTILE_PATH', 'LIMIT_EXCEEDED', 'MALFORMED']).toContain(error.code)
    }
  )

  test('refuses one name twice', async () => {
    const blocks = new MemoryBlocks()
    const root = blocks.directory([
      ['a', blocks.raw('1')],
      ['a', blocks.raw('2')]
    ])
    expect((await refused(blocks, root)).message).toContain('twice')
  })

  test('refuses twins by case and Unicode form, in different folders of one spelling too', async () => {
    const blocks = new MemoryBlocks()
    const x = blocks.raw('x')
    expect(
      (
        await refused(
          blocks,
          blocks.directory([
            ['A', x],
            ['a', x]
          ])
        )
      ).code
    ).toBe('HOSTILE_PATH')
    const folder = blocks.directory([['x', x]])
    expect(
      (
        await refused(
          blocks,
          blocks.directory([
            ['cafe\u0301', folder],
            ['caf\u00e9', folder]
          ])
        )
      ).code
    ).toBe('HOSTILE_PATH')
  })

  test('refuses a name that is not UTF-8', async () => {
    const blocks = new MemoryBlocks()
    const good = encode(
      prepare({
        Data: new UnixFS({ type: 'directory' }).marshal(),
        Links: [{ Name: 'abc', Tsize: 1, Hash: blocks.raw('x') }]
      })
    )
    const bad = Uint8Array.from(good)
    bad[Buffer.from(good).indexOf('abc') + 1] = 0xff
    expect((await refused(blocks, blocks.bytes(bad))).code).toBe('MALFORMED')
  })
})

describe('nodes that are neither files nor folders', () => {
  test.each(['symlink', 'metadata', 'raw'] as const)('refuses a UnixFS %s', async type => {
    const blocks = new MemoryBlocks()
    const node = blocks.node({ Data: new UnixFS({ type, data: Buffer.from('/etc/passwd') }).marshal(), Links: [] })
    expect((await refused(blocks, blocks.directory([['x', node]]))).code).toBe('MALFORMED')
  })

  test('refuses modes and times, inline bytes, missing data and other codecs', async () => {
    const blocks = new MemoryBlocks()
    const nodes = [
      blocks.node({ Data: new UnixFS({ type: 'directory', mode: 0o4755 }).marshal(), Links: [] }),
      blocks.node({ Data: new UnixFS({ type: 'directory', mtime: { secs: 1n } }).marshal(), Links: [] }),
      blocks.node({ Data: new UnixFS({ type: 'file', data: Buffer.from('x') }).marshal(), Links: [] }),
      blocks.node({ Links: [] }),
      blocks.node({ Data: Buffer.from([8, 1, 0x78, 1]), Links: [] }),
      blocks.bytes(Buffer.from('not protobuf')),
      cidOf(0x71, Buffer.from('x'))
    ]
    for (const node of nodes) {
      expect((await refused(blocks, blocks.directory([['x', node]]))).code).toBe('MALFORMED')
    }
  })

  test('refuses an identity CID, which carries its bytes past every cap', async () => {
    const blocks = new MemoryBlocks()
    const identity = CID.createV1(0x55, createDigest(0, Buffer.from('x')))
    expect((await refused(blocks, blocks.directory([['x', identity]]))).message).toContain('sha2-256')
  })

  test('refuses a second spelling of one node: data before links', async () => {
    const blocks = new MemoryBlocks()
    const node = {
      Data: new UnixFS({ type: 'directory' }).marshal(),
      Links: [{ Name: 'x', Tsize: 1, Hash: blocks.raw('x') }]
    }
    const other = encode(prepare(node), { fieldOrder: 'data-first' })
    expect((await refused(blocks, blocks.bytes(other))).code).toBe('MALFORMED')
  })

  test('refuses a file as the root of a package', async () => {
    const blocks = new MemoryBlocks()
    expect((await refused(blocks, blocks.raw('x'))).code).toBe('MALFORMED')
  })
})

describe('bombs', () => {
  test('one small block linked a million times', async () => {
    const blocks = new MemoryBlocks()
    const x = blocks.raw('x')
    const thousand = fileNode(
      blocks,
      Array.from({ length: 1_024 }, () => [x, 1] as const)
    )
    expect((await refused(blocks, blocks.directory([['bomb', thousand]]), 2 ** 40)).code).toBe('MALFORMED')
    const million = fileNode(
      blocks,
      Array.from({ length: 1_024 }, () => [thousand, 1_024] as const)
    )
    expect((await refused(blocks, blocks.directory([['bomb', million]]), 2 ** 40)).code).toBe('MALFORMED')
    expect(blocks.gets).toBeLessThan(10)
  })

  test('one large file under many names stops at the declared size and at the limit of every package', async () => {
    const blocks = new MemoryBlocks()
    const chunk = blocks.raw(new Uint8Array(MiB))
    const file = fileNode(
      blocks,
      Array.from({ length: 200 }, () => [chunk, MiB] as const)
    )
    const names = (n: number) => Array.from({ length: n }, (_, i) => [`f${i}`, file] as const)
    expect((await refused(blocks, blocks.directory(names(4_000)), 2 ** 50)).message).toContain('536870912')
    expect(blocks.gets).toBeLessThan(10)
    expect((await refused(blocks, blocks.directory(names(2)), 10)).message).toContain('more than 10 bytes')
    expect(blocks.gets).toBeLessThan(20)
  })

  test('folders of folders of folders, from three blocks', async () => {
    const blocks = new MemoryBlocks()
    let node = blocks.directory([])
    for (let level = 0; level < 3; level++) {
      node = blocks.directory(
        Array.from({ length: 1_000 }, (_, i) => [`d${i.toString().padStart(4, '0')}`, node] as const)
      )
    }
    expect((await refused(blocks, node)).message).toContain('at most 50000 files and folders')
    expect(blocks.gets).toBeLessThan(60_000)
  })

  test('too deep', async () => {
    const blocks = new MemoryBlocks()
    let node = blocks.directory([['f', blocks.raw('x')]])
    for (let level = 0; level < 40; level++) node = blocks.directory([['d', node]])
    expect((await refused(blocks, node)).message).toContain('32 levels')
  })

  test('a node above 256 KiB and a leaf above 1 MiB are not even hashed', async () => {
    const blocks = new MemoryBlocks()
    const links = Array.from(
      { length: 6_000 },
      (_, i) => [`name-${i.toString().padStart(6, '0')}`, blocks.raw('x')] as const
    )
    expect((await refused(blocks, blocks.directory(links))).code).toBe('LIMIT_EXCEEDED')
    const fat = blocks.raw(new Uint8Array(MiB + 1))
    expect((await refused(blocks, blocks.directory([['fat', fat]]), 2 * MiB)).code).toBe('LIMIT_EXCEEDED')
  })

  test('shards that are empty, nested without end, or describe other links than they have', async () => {
    const blocks = new MemoryBlocks()
    const shard = (data: readonly number[], links: readonly (readonly [string, CID])[]): CID =>
      blocks.node({
        Data: new UnixFS({
          type: 'hamt-sharded-directory',
          hashType: 0x22n,
          fanout: 256n,
          data: Uint8Array.from(data)
        }).marshal(),
        Links: links.map(([Name, Hash]) => ({ Name, Tsize: 1, Hash }))
      })
    const x = blocks.raw('x')
    expect((await refused(blocks, shard([], []))).code).toBe('MALFORMED')
    expect((await refused(blocks, shard([3], [['00x', x]]))).code).toBe('MALFORMED')
    expect((await refused(blocks, shard([0, 1], [['00x', x]]))).code).toBe('MALFORMED')
    expect(
      (
        await refused(
          blocks,
          shard(
            [3],
            [
              ['01x', x],
              ['00y', x]
            ]
          )
        )
      ).message
    ).not.toBe('')
    expect((await refused(blocks, shard([1], [['0gx', x]]))).code).toBe('MALFORMED')
    expect((await refused(blocks, shard([1], [['00../x', x]]))).code).toBe('HOSTILE_PATH')
    let nested = shard([1], [['00x', x]])
    for (let level = 0; level < 8; level++) nested = shard([1], [['00', nested]])
    expect((await refused(blocks, nested)).message).toContain('nested too deeply')
    expect((await refused(blocks, shard([1], [['00', blocks.directory([])]]))).code).toBe('MALFORMED')
  })

  test('a walk for a mirror counts blocks as well', async () => {
    const blocks = new MemoryBlocks()
    const root = blocks.directory(Array.from({ length: 20 }, (_, i) => [`f${10 + i}`, blocks.raw(`${i}`)] as const))
    const walk = listBlocks(rootOf(root), blocks, { limits: { blocks: 10 } })
    expect((await refusal(collect(walk))).code).toBe('LIMIT_EXCEEDED')
  })
})

describe('bytes that lie', () => {
  test('a block that does not match its CID, whichever one it is', async () => {
    const folder = await writeTree(await tempDir(), { 'a/b.txt': 'b', 'c.bin': new Uint8Array(MiB + 5) })
    const blocks = new MemoryBlocks()
    const imported = await importFolder(folder, blocks)
    for (const cid of imported.blocks) {
      const broken = new MemoryBlocks()
      for (const [key, bytes] of blocks.map) broken.map.set(key, Uint8Array.from(bytes))
      const bytes = broken.map.get(cid.toString()) ?? new Uint8Array()
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      const error = await refused(broken, CID.parse(imported.root), imported.size)
      expect(error.code).toBe('CORRUPT_BLOCK')
      expect(error.detail['cid']).toBe(cid.toString())
    }
  })

  test('a leaf shorter than its node says, and a size other than the release declares', async () => {
    const blocks = new MemoryBlocks()
    const chunk = blocks.raw(new Uint8Array(MiB))
    const lying = blocks.directory([
      [
        'f',
        fileNode(blocks, [
          [chunk, MiB],
          [blocks.raw('x'), 100]
        ])
      ]
    ])
    expect((await refused(blocks, lying, MiB + 100)).code).toBe('MALFORMED')
    const honest = blocks.directory([['f', blocks.raw('x')]])
    expect((await refused(blocks, honest, 2, true)).message).toContain('1 bytes, the release declares 2')
    expect((await refused(blocks, honest, 0)).code).toBe('LIMIT_EXCEEDED')
    expect((await refused(blocks, honest, 1, true)).message).toContain('digest')
  })

  test('an executable that is not there', async () => {
    const blocks = new MemoryBlocks()
    const root = rootOf(blocks.directory([['f', blocks.raw('x')]]))
    const options = { declaredSize: 1, executables: ['g'], expectDigests: { sha256: new Uint8Array(32) } }
    const promise = unpackTo(root, blocks, join(await tempDir(), 'out'), options)
    expect((await refusal(promise)).message).toContain('"g"')
  })

  test('limits of this test file are those of the program', () => {
    expect(LIMITS.content).toMatchObject({ entries: 50_000, depth: 32, packageBytes: 512 * MiB, nodeBytes: 256 * 1024 })
  })
})
