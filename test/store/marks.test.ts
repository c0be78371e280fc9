import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { BlockMarks } from '../../storage/block-marks.ts'

const cidOf = (digest: Uint8Array) => CID.createV1(0x55, createDigest(0x12, digest))
const numbered = (n: number) => cidOf(Uint8Array.from(createHash('sha256').update(String(n)).digest()))

test('every block that was marked is found, no other is, and each counts once', () => {
  const marks = new BlockMarks()
  const cids = Array.from({ length: 20_000 }, (_, n) => numbered(n))
  expect(cids.filter(cid => marks.add(cid))).toHaveLength(20_000)
  expect(cids.filter(cid => marks.add(cid))).toEqual([])
  expect(marks.size).toBe(20_000)
  expect(cids.filter(cid => !marks.has(cid))).toEqual([])
  expect(Array.from({ length: 5_000 }, (_, n) => numbered(20_000 + n)).filter(cid => marks.has(cid))).toEqual([])
})

test('a digest of zeros is one like any other', () => {
  const marks = new BlockMarks()
  const zeros = cidOf(new Uint8Array(32))
  expect(marks.has(zeros)).toBe(false)
  expect([marks.add(zeros), marks.has(zeros), marks.add(zeros)]).toEqual([true, true, false])
})

test('digests that begin alike are told apart, and their marks take 8 bytes of each alone', () => {
  const marks = new BlockMarks()
  const alike = (last: number) => cidOf(Uint8Array.from({ length: 32 }, (_, i) => (i === 7 ? last : 9)))
  for (let i = 0; i < 256; i++) expect(marks.add(alike(i))).toBe(true)
  expect(marks.size).toBe(256)
})
