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
  /** The audit that its issuer said just before this one, in the same chain of the same registry: all that is certain of their order. */
  readonly before: string | null
  /** Somebody else shows what its issuer brought himself, too: that one says where it belongs. */
  readonly isRepeat: boolean
  readonly passed: boolean
  readonly criteria: readonly string[]
  /** Of a delta: sha2-256 in hex of the archive that it starts from. */
  readonly from: string | null
}

/**
 * The audits that stand: who changes his mind is heard as he spoke last. What he said before and agrees with that stays, so
 * that one who passes something for one purpose and then for another passes it for both.
 *
 * What failed is taken back by what its issuer said after it in the same chain, and by nothing else. Attacks: an old statement that
 * somebody shows again, with a time of his own choice; a clock that was ahead when something passed, and right when it failed. Between
 * chains, and of what was never brought by who signed it, nobody knows the order: there the one that failed is heard, on every node.
 */
export function standingAudits(audits: readonly HeardAudit[]): readonly HeardAudit[] {
  const takenBack = takenBackIn(audits)
  const refusing = new Set(
    audits.filter(({ id, passed, isRepeat }) => !passed && !isRepeat && !takenBack.has(id)).map(({ issuer }) => issuer)
  )
  return audits.filter(({ issuer, passed }) => passed !== refusing.has(issuer))
}

/** All that lies before something that passed. */
function takenBackIn(audits: readonly HeardAudit[]): ReadonlySet<string> {
  const before = new Map(audits.map(audit => [audit.id, audit.before]))
  const found = new Set<string>()
  for (const audit of audits) {
    // What lies before one that was found was found with it: a thousand audits of one chain are walked once.
    let at = audit.passed ? audit.before : null
    for (; at !== null && !found.has(at); at = before.get(at) ?? null) found.add(at)
  }
  return found
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
