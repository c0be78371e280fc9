import type { CID } from 'multiformats/cid'
import type { VerifiedBlocks } from './verified-blocks.ts'

/**
 * The same blocks, and somebody who is told of each that is asked for or put, before anything else is done with it. While
 * garbage is collected, what was told stays: a fetch that found a block here will not look for it again.
 */
export function watchedBlocks(blocks: VerifiedBlocks, touch: (cid: CID) => void): VerifiedBlocks {
  async function* each(source: Iterable<CID> | AsyncIterable<CID>): AsyncGenerator<CID> {
    for await (const cid of source) {
      touch(cid)
      yield cid
    }
  }
  return {
    ...blocks,
    put: async (cid, bytes, options) => {
      touch(cid)
      return blocks.put(cid, bytes, options)
    },
    putMany: async function* (source, options) {
      async function* told(): AsyncGenerator<{ cid: CID; bytes: Parameters<VerifiedBlocks['put']>[1] }> {
        for await (const one of source) {
          touch(one.cid)
          yield one
        }
      }
      yield* blocks.putMany(told(), options)
    },
    get: async function* (cid, options) {
      touch(cid)
      yield* blocks.get(cid, options)
    },
    getMany: (source, options) => blocks.getMany(each(source), options),
    has: async (cid, options) => {
      touch(cid)
      return blocks.has(cid, options)
    },
    read: async (cid, options) => {
      touch(cid)
      return blocks.read(cid, options)
    },
    readNow: cid => {
      touch(cid)
      return blocks.readNow(cid)
    },
    flush: async (cids, options) => {
      const all = [...cids]
      for (const cid of all) touch(cid)
      await blocks.flush(all, options)
    }
  }
}
