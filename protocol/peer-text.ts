const HEAD = 4
const TAIL = 8

/** A peer id short enough for a line that names several: `12D3…3fXk9QpZ`. The end is what tells ids apart. */
export function shortPeer(id: string): string {
  // The address of a gateway is a name as it is.
  if (id.includes('/')) return id
  return id.length <= HEAD + TAIL + 1 ? id : `${id.slice(0, HEAD)}…${id.slice(-TAIL)}`
}

/** The first few of what was said, and how many there were beside them. */
export function firstFew(texts: readonly string[], most: number): string {
  const others = texts.length - most
  if (others <= 0) return texts.join(', ')
  return `${texts.slice(0, most).join(', ')} and ${others} ${others === 1 ? 'other' : 'others'}`
}

/** `1 peer`, `4 peers`. */
export function peersText(count: number): string {
  return `${count} ${count === 1 ? 'peer' : 'peers'}`
}
