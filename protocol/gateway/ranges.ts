/** `entity-bytes=FROM:TO`: both inclusive, negative ones from the end; undefined is the end. */
export interface EntityBytes {
  readonly from: number
  readonly to: number | undefined
}

/** Bytes of something, both inclusive. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

export function parseEntityBytes(text: string): EntityBytes | undefined {
  const [, from, to] = /^(-?\d{1,15}):(-?\d{1,15}|\*)$/.exec(text) ?? []
  if (from === undefined || to === undefined) return undefined
  return { from: Number(from), to: to === '*' ? undefined : Number(to) }
}

/** Which bytes of an entity of that size are meant, as far as it has them; undefined when it has none of them. */
export function entityRange({ from, to }: EntityBytes, size: number): ByteRange | undefined {
  const first = Math.max(0, from < 0 ? size + from : from)
  const last = Math.min(size - 1, to === undefined ? size - 1 : to < 0 ? size + to : to)
  return first <= last ? { first, last } : undefined
}

/**
 * The one range that a Range header names. `whole` for no header, for several ranges and for what is no range of bytes: RFC
 * 9110 lets a server send everything then. `outside` when there is no such byte.
 */
export function headerRange(header: string | undefined, size: number): ByteRange | 'whole' | 'outside' {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.replaceAll(' ', '') ?? '') ?? []
  if (from === '' && to === '') return 'whole'
  if (from === '') {
    const length = Math.min(size, Number(to))
    return length === 0 ? 'outside' : { first: size - length, last: size - 1 }
  }
  const first = Number(from)
  if (to !== '' && Number(to) < first) return 'whole'
  if (first >= size) return 'outside'
  return { first, last: to === '' ? size - 1 : Math.min(size - 1, Number(to)) }
}
