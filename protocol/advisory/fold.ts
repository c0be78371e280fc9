import type { Authority } from '../authority.ts'
import { compareText } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { LIMITS } from '../limits.ts'
import type { PackageName } from '../package-name.ts'
import { ADVISING_ROLES } from '../role.ts'
import { roleSince } from '../roles.ts'
import type { OsvRange } from './osv.ts'
import type { Advisory } from './payload.ts'
import { worst } from './severity.ts'
import type { Severity } from './severity.ts'

export type AdvisoryFault = 'unknown-authority' | 'role-not-held' | 'too-many-advisories'

/** What one author says under one id about one package: the newest record. */
export interface AdvisoryView {
  readonly fact: FactId
  readonly by: Principal
  readonly time: number
  readonly id: string
  readonly modified: number
  readonly withdrawn: boolean
  readonly aliases: readonly string[]
  readonly summary: string
  readonly affected: readonly {
    readonly registry: string | null
    readonly severity: Severity
    readonly versions: readonly string[]
    readonly ranges: readonly OsvRange[]
  }[]
}

export type AdvisoryFact = VerifiedFact & {
  readonly payload: { readonly type: 'advisory'; readonly value: Advisory }
}

/**
 * Folds what a registry says of known problems of one package, whether the name was granted there or not: auditors speak
 * of packages of others. Pure; equal facts give an equal view.
 */
export function foldAdvisories(
  name: PackageName,
  authority: Authority,
  facts: readonly AdvisoryFact[],
  aside: (fact: VerifiedFact, reason: AdvisoryFault) => void
): readonly AdvisoryView[] {
  const counted = facts.filter(fact => {
    const reason = faultOf(name, authority, fact)
    if (reason !== undefined) aside(fact, reason)
    return reason === undefined
  })
  const views: AdvisoryView[] = []
  let bytes = 0
  for (const fact of newest(counted)) {
    const view = viewOf(name, fact)
    // Attack: rows without end. The bound is over the content, so that it falls at the same place everywhere.
    bytes += encodeCbor(view).length
    if (views.length >= LIMITS.advisory.perRow || bytes > LIMITS.advisory.rowBytes) aside(fact, 'too-many-advisories')
    else views.push(view)
  }
  return views
}

function faultOf(
  on: PackageName,
  authority: Authority,
  fact: AdvisoryFact
): Extract<AdvisoryFault, 'role-not-held' | 'unknown-authority'> | undefined {
  const { head } = fact.payload.value
  if (!authority.order.has(head)) return 'unknown-authority'
  const since = roleSince(authority, { key: fact.body.author, on, head, roles: ADVISING_ROLES, fact })
  return since === undefined ? 'role-not-held' : undefined
}

/**
 * Of each author and id the record that was modified last, in the order of ids. What somebody else says under the same id
 * stands beside it: nobody withdraws another's word.
 */
function newest(facts: readonly AdvisoryFact[]): readonly AdvisoryFact[] {
  const groups = Map.groupBy(facts, ({ body, payload }) => `${payload.value.osv.id} ${body.author}`)
  return [...groups]
    .toSorted(([a], [b]) => compareText(a, b))
    .flatMap(([, said]) => {
      const sorted = said.toSorted(
        (a, b) => b.payload.value.osv.modified - a.payload.value.osv.modified || compareText(a.id, b.id)
      )
      return sorted.slice(0, 1)
    })
}

function viewOf(name: PackageName, { id: fact, body, payload }: AdvisoryFact): AdvisoryView {
  const { id, modified, withdrawn, aliases, summary, severity, affected } = payload.value.osv
  const own = affected.filter(one => one.name === name)
  return {
    fact,
    by: body.author,
    time: body.time,
    id,
    modified,
    withdrawn,
    aliases,
    summary,
    affected: own.map(one => ({
      registry: one.registry,
      severity: worst([severity, one.severity]),
      versions: one.versions,
      ranges: one.ranges
    }))
  }
}

export function isAdvisory(fact: VerifiedFact): fact is AdvisoryFact {
  return fact.payload.type === 'advisory'
}
