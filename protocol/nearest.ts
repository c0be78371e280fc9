/** The candidates that a mistyped word comes near, nearest first: at most `limit`, and nothing when none is near. */
export function nearest(word: string, candidates: Iterable<string>, limit = 3): readonly string[] {
  const bound = word.length < 4 ? 2 : word.length < 10 ? 3 : 4
  const found: { readonly distance: number; readonly candidate: string }[] = []
  for (const candidate of candidates) {
    const distance = isPart(candidate, word) ? 1 : editDistance(candidate, word, bound)
    if (distance < bound) found.push({ distance, candidate })
  }
  return found
    .toSorted((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({ candidate }) => candidate)
}

function isPart(candidate: string, word: string): boolean {
  return word.length > 2 && (candidate.includes(word) || word.includes(candidate))
}

/** Levenshtein distance, given up at `bound`: a row of the table at a time, so a long word costs no memory. */
function editDistance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    if (Math.min(...next) >= bound) return bound
    row = next
  }
  return Math.min(row[b.length] ?? bound, bound)
}
