import type { CID } from 'multiformats/cid'
import { RegistryError } from '../protocol/errors.ts'
import type { VerifiedBlocks } from './verified-blocks.ts'

/** Which blocks are withheld. Asked for every block that goes out, so it answers from memory. */
export interface Withheld {
  has(cid: CID): boolean
}

/**
 * The same blocks without those that an operator withholds: for everybody who asks they are not here, and who reads one
 * all the same is told why it is not handed out. They stay on the disk, and can be stored again.
 */
export function withheldBlocks(blocks: VerifiedBlocks, withheld: Withheld): VerifiedBlocks {
  function assertMayBeRead(cid: CID): void {
    if (withheld.has(cid)) throw takenDown(cid.toString())
  }
  return {
    ...blocks,
    has: async (cid, options) => !withheld.has(cid) && blocks.has(cid, options),
    read: async (cid, options) => {
      assertMayBeRead(cid)
      return blocks.read(cid, options)
    },
    readNow: cid => (withheld.has(cid) ? undefined : blocks.readNow(cid)),
    get: async function* (cid, options) {
      assertMayBeRead(cid)
      yield* blocks.get(cid, options)
    },
    getMany: async function* (source, options) {
      for await (const found of blocks.getMany(source, options)) {
        assertMayBeRead(found.cid)
        yield found
      }
    },
    getAll: async function* (options) {
      for await (const found of blocks.getAll(options)) if (!withheld.has(found.cid)) yield found
    }
  }
}

export function takenDown(what: string): RegistryError {
  return new RegistryError('TAKEN_DOWN', `an operator of this node withholds this content: ${what}`, {
    next: 'ask the operator, or get it from another node'
  })
}
