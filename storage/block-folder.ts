import type { CID } from 'multiformats/cid'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/**
 * The number of the folder that a block is in, from 0 to 127, without writing its name out: a package of small files asks of each
 * block that is to come whether it is here, and nearly always it is not.
 *
 * A name is the multihash in base32, of five bits each: the 34 bytes are 54 characters, and one more with the last two bits. The
 * folder is named after the last two characters, which are the last seven bits.
 */
export function folderNumber({ multihash: { digest } }: CID): number {
  return (digest[31] ?? 0) & 0x7f
}

/** The number of a folder by its name; undefined for one that no block is in: the second character has two bits, and nothing behind them. */
export function numberOfFolder(name: string): number | undefined {
  if (!/^[A-Z2-7][AIQY]$/.test(name)) return undefined
  return (BASE32.indexOf(name[0] ?? '') << 2) | (BASE32.indexOf(name[1] ?? '') >> 3)
}
