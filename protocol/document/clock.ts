/**
 * What an edit knows of the others: of each chain, by the number that a document gave it, the last position. Who knows a
 * position of a chain knows all before it, so this is all.
 */
export type Clock = readonly number[]

/** Where in its chain a fact stands; chains by their number. */
export interface Place {
  readonly chain: number
  readonly seq: number
}

export function knows(clock: Clock, { chain, seq }: Place): boolean {
  return (clock[chain] ?? -1) >= seq
}

/** What all of them know together. One that already knows it all is given back itself, so that equal ones are one. */
export function join(clocks: readonly Clock[]): Clock {
  const [first = []] = clocks
  if (clocks.every(clock => clock === first)) return first
  const all: number[] = []
  for (const clock of clocks) {
    while (all.length < clock.length) all.push(-1)
    for (const [chain, seq] of clock.entries()) if (seq > (all[chain] ?? -1)) all[chain] = seq
  }
  return clocks.find(clock => clock.length === all.length && clock.every((seq, chain) => seq === all[chain])) ?? all
}

export function withPlace(clock: Clock, { chain, seq }: Place): Clock {
  const next = [...clock]
  while (next.length <= chain) next.push(-1)
  next[chain] = Math.max(seq, next[chain] ?? -1)
  return next
}
