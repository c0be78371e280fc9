import { NextToLast } from 'blockstore-fs/sharding'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { folderNumber, numberOfFolder } from '../../storage/block-folder.ts'

test('a block is in the folder that its layout names', () => {
  const layout = new NextToLast()
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), digest => {
      const cid = CID.createV1(0x55, createDigest(0x12, digest))
      expect(folderNumber(cid)).toBe(numberOfFolder(layout.encode(cid).dir))
    })
  )
})

test('a folder that is of somebody else has none', () => {
  expect(['ZB', 'A', 'AAA', 'aa', ''].map(numberOfFolder)).toEqual(Array.from({ length: 5 }, () => undefined))
})

test('each folder has a number of its own', () => {
  const names = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
    .split('')
    .flatMap(first => ['A', 'I', 'Q', 'Y'].map(second => first + second))
  expect(new Set(names.map(numberOfFolder))).toEqual(new Set(names.keys()))
})
