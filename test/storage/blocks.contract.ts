import { createHash } from 'node:crypto'
import type { Helia } from '@helia/interface'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { beforeEach, describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { noteProven } from '../../protocol/proven-block.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'

/** A raw block of the bytes, or one of another codec or hash code. */
export function blockOf(bytes: Uint8Array, codec = 0x55, hashCode = 0x12): { cid: CID; bytes: Uint8Array } {
  const digest = Uint8Array.from(createHash('sha256').update(bytes).digest())
  return { cid: CID.createV1(codec, createDigest(hashCode, digest)), bytes }
}

export const filled = (size: number, fill = 1) => new Uint8Array(size).fill(fill)

export async function bytesOf(parts: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(part)
  return Uint8Array.from(Buffer.concat(all))
}

/** What every VerifiedBlocks must do. Run it on the fake and on the real thing, so the fake cannot lie. */
export function verifiedBlocksContract(name: string, open: () => Promise<VerifiedBlocks>): void {
  describe(`${name} as verified blocks`, () => {
    let blocks: VerifiedBlocks
    beforeEach(async () => {
      blocks = await open()
    })

    test('is a blockstore that Helia takes', () => {
      const forHelia: Pick<Helia['blockstore'], 'put' | 'get' | 'getMany' | 'putMany' | 'has' | 'delete' | 'getAll'> =
        blocks
      expect(forHelia).toBe(blocks)
    })

    test('bytes that were proven to be one block are no other, and a copy of them is hashed', async () => {
      const [{ cid, bytes }, other] = [blockOf(filled(10)), blockOf(filled(10, 2))]
      noteProven(cid, bytes)
      await expect(blocks.put(other.cid, bytes)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
      const changed = Uint8Array.from(bytes, (byte, i) => (i === 3 ? byte + 1 : byte))
      await expect(blocks.put(cid, changed)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
      expect(await blocks.has(other.cid)).toBe(false)
      expect(await blocks.has(cid)).toBe(false)
    })

    test.each([0, 1, 70_000, LIMITS.content.chunkBytes])('returns a block of %d bytes', async size => {
      const { cid, bytes } = blockOf(filled(size))
      expect(await blocks.put(cid, bytes)).toBe(cid)
      expect(await bytesOf(blocks.get(cid))).toEqual(bytes)
      expect(await blocks.read(cid)).toEqual(bytes)
      expect(await blocks.has(cid)).toBe(true)
      await blocks.flush([cid])
    })

    test('takes a block in pieces, and finds it under another codec', async () => {
      const { cid, bytes } = blockOf(Uint8Array.of(1, 2, 3), 0x70)
      await blocks.put(cid, [bytes.subarray(0, 1), bytes.subarray(1)])
      expect(await blocks.read(blockOf(bytes, 0x55).cid)).toEqual(bytes)
    })

    test('counts what it holds, tells the size of a block, and walks over all of them part by part', async () => {
      const all = [10, 200, 70_000].map(size => blockOf(filled(size)))
      for (const { cid, bytes } of all) await blocks.put(cid, bytes)
      const [first] = all
      if (first === undefined) throw new Error('there are three')
      await blocks.put(first.cid, first.bytes)
      expect(await blocks.usage()).toEqual({ blocks: 3, bytes: 70_210 })
      expect(all.map(({ cid }) => blocks.sizeOf(cid))).toEqual([10, 200, 70_000])
      const found: string[] = []
      for (const shard of await blocks.shards()) {
        for await (const cid of blocks.keysIn(shard)) found.push(cid.toString())
      }
      expect(found.toSorted()).toEqual(all.map(({ cid }) => cid.toString()).toSorted())
      await blocks.delete(first.cid)
      const later = blockOf(filled(5))
      await blocks.put(later.cid, later.bytes)
      expect(await blocks.usage()).toEqual({ blocks: 3, bytes: 70_205 })
      expect(blocks.sizeOf(first.cid)).toBeUndefined()
    })

    test('sweeps a block that is free, at once, and no other', async () => {
      const { cid, bytes } = blockOf(filled(300))
      await blocks.put(cid, bytes)
      expect(blocks.sweep(cid, () => false)).toBeUndefined()
      expect(await blocks.has(cid)).toBe(true)
      expect(await blocks.usage()).toEqual({ blocks: 1, bytes: 300 })
      expect(blocks.sweep(cid, () => true)).toBe(300)
      expect(await blocks.has(cid)).toBe(false)
      expect(blocks.sweep(cid, () => true)).toBeUndefined()
      expect(await blocks.usage()).toEqual({ blocks: 0, bytes: 0 })
    })

    test('refuses bytes that are not the block', async () => {
      const { cid } = blockOf(Uint8Array.of(1))
      await expect(blocks.put(cid, Uint8Array.of(2))).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
      expect(await blocks.has(cid)).toBe(false)
    })

    test('stores no hash but whole sha2-256, identity least of all, and never has such a block', async () => {
      const bytes = Uint8Array.of(1)
      const identity = CID.createV1(0x55, createDigest(0x00, bytes))
      const truncated = CID.createV1(0x55, createDigest(0x12, blockOf(bytes).cid.multihash.digest.slice(0, 20)))
      await blocks.put(blockOf(bytes).cid, bytes)
      for (const cid of [identity, truncated, blockOf(bytes, 0x55, 0x1e).cid]) {
        await expect(blocks.put(cid, bytes)).rejects.toMatchObject({ code: 'MALFORMED' })
        await expect(bytesOf(blocks.get(cid))).rejects.toMatchObject({ name: 'NotFoundError' })
        await blocks.delete(cid)
        expect([await blocks.has(cid), await blocks.read(cid)]).toEqual([false, undefined])
      }
      expect(await blocks.has(blockOf(bytes).cid)).toBe(true)
    })

    test('flushing a block that is not there says so', async () => {
      await expect(blocks.flush([blockOf(filled(11)).cid])).rejects.toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    })

    test('refuses a block above the limit, also one that comes in pieces without end', async () => {
      const { cid, bytes } = blockOf(filled(LIMITS.content.blockBytes + 1))
      await expect(blocks.put(cid, bytes)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
      let taken = 0
      function* endless() {
        for (;;) {
          taken += 1
          yield filled(1024 * 1024)
        }
      }
      await expect(blocks.put(cid, endless())).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
      expect(taken).toBe(3)
    })

    test('a block that is not there is undefined, or the NotFoundError that Helia looks for', async () => {
      const { cid } = blockOf(Uint8Array.of(1))
      expect(await blocks.read(cid)).toBeUndefined()
      await expect(bytesOf(blocks.get(cid))).rejects.toMatchObject({ name: 'NotFoundError' })
      await expect(blocks.delete(cid)).resolves.toBeUndefined()
    })

    test('deletes, lists and answers for many', async () => {
      const all = [1, 2, 3].map(fill => blockOf(filled(10, fill)))
      const put: CID[] = []
      for await (const cid of blocks.putMany(all)) put.push(cid)
      const first = put[0]
      expect(put).toEqual(all.map(({ cid }) => cid))
      for await (const { cid, bytes } of blocks.getMany(put)) {
        expect(await bytesOf(bytes)).toEqual(all.find(one => one.cid.equals(cid))?.bytes)
      }
      for await (const cid of blocks.deleteMany(first === undefined ? [] : [first])) expect(cid).toBe(first)
      const listed: string[] = []
      for await (const { cid } of blocks.getAll()) listed.push(cid.toString())
      expect(listed.sort()).toEqual(put.slice(1).map(String).sort())
    })

    test('what a caller does to bytes changes nothing stored', async () => {
      const { cid } = blockOf(filled(4))
      const given = filled(4)
      await blocks.put(cid, given)
      given.fill(9)
      const read = await blocks.read(cid)
      read?.fill(9)
      expect(await blocks.read(cid)).toEqual(filled(4))
    })

    test('an aborted signal stops every operation with its reason', async () => {
      const { cid, bytes } = blockOf(filled(4))
      await blocks.put(cid, bytes)
      const reason = new Error('enough')
      const options = { signal: AbortSignal.abort(reason) }
      await expect(blocks.put(cid, bytes, options)).rejects.toBe(reason)
      await expect(blocks.read(cid, options)).rejects.toBe(reason)
      await expect(blocks.has(cid, options)).rejects.toBe(reason)
      await expect(blocks.flush([cid], options)).rejects.toBe(reason)
      await expect(blocks.delete(cid, options)).rejects.toBe(reason)
    })
  })
}
