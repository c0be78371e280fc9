/** Each criterion, and what it says beside itself: whoever may deploy something may run it. */
const IMPLIED: Readonly<Record<string, readonly string[]>> = { 'safe-to-deploy': ['safe-to-run'] }

/** What criteria say, with what follows from them. Of a finding that did not pass nothing follows. */
export function withImplied(criteria: readonly string[]): readonly string[] {
  return [...new Set(criteria.flatMap(one => [one, ...(IMPLIED[one] ?? [])]))]
}

/** An audit of some bytes by somebody whose word is taken. */
export interface HeardAudit {
  readonly id: string
  readonly issuer: string
  readonly time: number
  readonly passed: boolean
  readonly criteria: readonly string[]
  /** Of a delta: sha2-256 in hex of the archive that it starts from. */
  readonly from: string | null
}

/**
 * The audits that stand: who changes his mind is heard as he spoke last. What he said before and agrees with that stays, so
 * that one who passes something for one purpose and then for another passes it for both.
 */
export function standingAudits(audits: readonly HeardAudit[]): readonly HeardAudit[] {
  const last = new Map<string, HeardAudit>()
  for (const audit of audits) {
    const known = last.get(audit.issuer)
    if (known === undefined || isAfter(audit, known)) last.set(audit.issuer, audit)
  }
  return audits.filter(({ issuer, passed }) => last.get(issuer)?.passed === passed)
}

function isAfter(a: HeardAudit, b: HeardAudit): boolean {
  if (a.time !== b.time) return a.time > b.time
  // Of two at one moment the one that refuses is heard, whatever the order in which they came.
  return a.passed === b.passed ? a.id > b.id : !a.passed
}

/**
 * For which criteria each of some archives is known to be good: audited in full, or reached from one that is by deltas, each from
 * the very bytes where the one before ended. A criterion holds over a chain if every link of it says so. Pure.
 *
 * Attacks: a delta alone, which says nothing of what it starts from; deltas in a circle; a chain without end, so at most `links`;
 * a chain through something that somebody who is heard has found to be bad.
 */
export function foundedCriteria(
  audits: ReadonlyMap<string, readonly HeardAudit[]>,
  links: number
): ReadonlyMap<string, ReadonlySet<string>> {
  const standing = new Map([...audits].map(([archive, said]) => [archive, standingAudits(said)]))
  const sound = [...standing].filter(([, said]) => said.every(({ passed }) => passed))
  let known: ReadonlyMap<string, ReadonlySet<string>> = new Map()
  // One link further each time, over the state before: the number of turns is the longest chain.
  for (let turn = 0; turn <= links; turn++) {
    const before = known
    const next = new Map(
      sound.map(([archive, said]) => [archive, new Set(said.flatMap(audit => foundedBy(audit, before)))])
    )
    if (sizeOf(next) === sizeOf(before) && turn > 0) return next
    known = next
  }
  return known
}

/** What one audit says for its bytes, where its start is known to be so good. */
export function foundedBy(
  { criteria, from }: Pick<HeardAudit, 'criteria' | 'from'>,
  known: ReadonlyMap<string, ReadonlySet<string>>
): readonly string[] {
  const said = withImplied(criteria)
  return from === null ? said : said.filter(criterion => known.get(from)?.has(criterion) === true)
}

function sizeOf(sets: ReadonlyMap<string, ReadonlySet<string>>): number {
  return [...sets.values()].reduce((sum, { size }) => sum + size, 0)
}
