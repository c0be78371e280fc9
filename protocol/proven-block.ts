import type { CID } from 'multiformats/cid'

const proven = new WeakMap<Uint8Array, CID>()

/**
 * Notes that these bytes were hashed and are the block, so that the store they go to next does not hash them again. Whoever says so
 * has the only view of them, and neither he nor anybody else writes to them from here on.
 *
 * It is remembered of this very view and this very CID, and forgotten with them: a copy is hashed like anything else.
 */
export function noteProven(cid: CID, bytes: Uint8Array): void {
  proven.set(bytes, cid)
}

export function isProven(cid: CID, bytes: Uint8Array): boolean {
  return proven.get(bytes) === cid
}
