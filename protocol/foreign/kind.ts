/** What a file is by its first bytes, never by its name. `other` is an archive or packed in a way that is not read here. */
export type FileKind = { readonly kind: 'tar' | 'gzip' | 'unknown' } | { readonly kind: 'other'; readonly name: string }

const OTHERS: readonly (readonly [name: string, magic: readonly number[]])[] = [
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['zip', [0x50, 0x4b, 0x05, 0x06]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['7z', [0x37, 0x7a, 0xbc, 0xaf]]
]
const USTAR = [0x75, 0x73, 0x74, 0x61, 0x72] as const
const USTAR_AT = 257

/** Takes `LIMITS.foreign.sniffedBytes`, or all of a file that is shorter. */
export function kindOf(head: Uint8Array): FileKind {
  if (startsWith(head, [0x1f, 0x8b], 0)) return { kind: 'gzip' }
  if (startsWith(head, USTAR, USTAR_AT)) return { kind: 'tar' }
  const other = OTHERS.find(([, magic]) => startsWith(head, magic, 0))
  return other === undefined ? { kind: 'unknown' } : { kind: 'other', name: other[0] }
}

function startsWith(bytes: Uint8Array, magic: readonly number[], at: number): boolean {
  return magic.every((byte, index) => bytes[at + index] === byte)
}
