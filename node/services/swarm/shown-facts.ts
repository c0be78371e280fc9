import { verifyFact } from '../../../attestation/sign-fact.ts'
import type { Admission } from '../../../protocol/admission.ts'
import { foldAuthority } from '../../../protocol/authority.ts'
import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { standingOf } from '../../../protocol/membership/members.ts'
import { standingRoles } from '../../../protocol/roles.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { RateLimit } from '../../runtime/rate.ts'
import type { Source } from '../admit.ts'
import { verified } from '../registry-state.ts'
import { bindingHolds } from './showing.ts'
import type { Showing } from './showing.ts'
import type { Verdict } from './weigh.ts'

export interface ShownFactsComponents {
  readonly registry: RegistryId
  readonly gate: {
    state(registry: RegistryId):
      | {
          readonly authority: Authority | undefined
          known(subject: 'registry'): Promise<{ readonly set: Facts; readonly cut: Facts }>
        }
      | undefined
    /** The one for facts from peers: it refuses while nothing may be written. */
    admitMany(envelopes: readonly Uint8Array[], source: Source): Promise<readonly Admission[]>
  }
  /** Tells the swarm a fact that is durable here. */
  readonly announce: (fact: { readonly id: FactId; readonly bytes: Uint8Array }) => void
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

type Facts = readonly VerifiedFact[]

/** A fact that was shown and is not known here. Its signature holds. */
interface Shown {
  readonly fact: VerifiedFact
  readonly bytes: Uint8Array
}

/** What is known, and what was shown beside it. */
interface Table {
  readonly authority: Authority
  readonly known: Facts
  readonly shown: ReadonlyMap<FactId, Shown>
  readonly now: number
}

/** What a host is let in by, when facts that it has shown were part of that. */
export type Weigh = (authority: Authority | undefined) => Verdict

/**
 * Facts that a host shows to be let in by: the only way into the set that is open to whoever is no member yet.
 *
 * Invariants:
 * 1. What does not change the verdict is not written, and not told to anybody: it is tried in the fold before. Attack: who
 *    was put out, or has run out, says what it likes in its introduction.
 * 2. Only what leads to the key that shows it is looked at, a grant to it or a use of an invite for it, and of what is
 *    beside that, only what the gate needs to take it.
 */
export class ShownFacts {
  readonly #components: ShownFactsComponents
  readonly #ofMembers: RateLimit
  readonly #ofInvites: RateLimit

  constructor(components: ShownFactsComponents) {
    this.#components = components
    const { evidenceBurst, evidencePerSecond, inviteEvidenceBurst, inviteEvidencePerSecond } = LIMITS.membership
    const init = { keys: LIMITS.membership.unknownMembers, now: () => components.clock.now() }
    this.#ofMembers = new RateLimit({ ...init, burst: evidenceBurst, perSecond: evidencePerSecond })
    this.#ofInvites = new RateLimit({ ...init, burst: inviteEvidenceBurst, perSecond: inviteEvidencePerSecond })
  }

  /** The verdict on a host, after what it has shown was taken in as far as it matters. */
  async judge(showing: Showing, evidence: readonly Uint8Array[], weigh: Weigh): Promise<Verdict> {
    const { registry, gate, clock, log } = this.#components
    const before = weigh(gate.state(registry)?.authority)
    // Attack: facts about a member are shown by somebody else, and again by the next.
    if (evidence.length === 0 || !bindingHolds(showing)) return before
    try {
      const table = await this.#lay(evidence)
      if (table === undefined) return before
      const isSettled = before.accepted && standingOf(table.authority, showing.member, clock.now()) === 'member'
      if (isSettled) return before
      const found = this.#find(showing, table, weigh)
      return found === undefined ? before : await this.#take(found, showing.peer, weigh)
    } catch (error) {
      // A disk that is full keeps nobody out who is known already.
      log.warn({ error, peer: showing.peer }, 'what a member showed could not be kept')
      return before
    }
  }

  /** Undefined when nothing that was shown is news. */
  async #lay(evidence: readonly Uint8Array[]): Promise<Table | undefined> {
    const { registry, gate, clock } = this.#components
    const state = gate.state(registry)
    const authority = state?.authority
    if (state === undefined || authority === undefined) return undefined
    const { set, cut } = await state.known('registry')
    const known = [...set, ...cut]
    const ids = new Set(known.map(({ id }) => id))
    const shown = new Map<FactId, Shown>()
    for (const bytes of evidence) {
      const fact = readShown(bytes, registry, ids)
      if (fact !== undefined) shown.set(fact.id, { fact, bytes })
    }
    return shown.size === 0 ? undefined : { authority, known, shown, now: clock.now() }
  }

  /** The first fact by which the host is let in, after those that it needs. */
  #find({ member }: Showing, table: Table, weigh: Weigh): readonly Shown[] | undefined {
    for (const lead of table.shown.values()) {
      if (!leadsTo(member, lead.fact, table)) continue
      const chosen = withNeeded(lead, table)
      if (chosen === undefined || !this.#mayTry(member, lead.fact)) continue
      const facts = [...table.known, ...chosen.map(({ fact }) => fact)]
      const then = foldAuthority(this.#components.registry, facts)
      const helps = then !== undefined && standingOf(then, member, table.now) === 'member' && weigh(then).accepted
      if (helps) return chosen
    }
    return undefined
  }

  /** Attack: whoever has the secret of an invite makes keys without end, and each try costs a fold. */
  #mayTry(member: Principal, { payload, body }: VerifiedFact): boolean {
    if (payload.type === 'redeem' && !this.#ofInvites.take(body.author)) return false
    return this.#ofMembers.take(member)
  }

  async #take(found: readonly Shown[], peer: string, weigh: Weigh): Promise<Verdict> {
    const { registry, gate, announce } = this.#components
    const admissions = await gate.admitMany(
      found.map(({ bytes }) => bytes),
      { peer, registry }
    )
    const verdict = weigh(gate.state(registry)?.authority)
    if (!verdict.accepted) return verdict
    // What comes with an introduction comes by no gossip: without a word of ours, nobody else would hear of a new member
    // before sets are compared.
    for (const [index, { verdict: given }] of admissions.entries()) {
      const shown = found[index]
      if (given === 'accept' && shown !== undefined) announce({ id: shown.fact.id, bytes: shown.bytes })
    }
    return verdict
  }
}

/** A change or a use of an invite that is not known here, and whose signature holds. */
function readShown(bytes: Uint8Array, registry: RegistryId, known: ReadonlySet<FactId>): VerifiedFact | undefined {
  try {
    const envelope = parseEnvelope(bytes)
    const { type, subject, registry: of } = envelope.body
    const isOfUse = type === 'grant' || type === 'invite' || type === 'redeem'
    if (!isOfUse || subject !== 'registry' || of !== registry || known.has(envelope.id)) return undefined
    return verifyFact(envelope) ? verified(envelope) : undefined
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return undefined
  }
}

function leadsTo(member: Principal, { payload, body }: VerifiedFact, table: Table): boolean {
  if (payload.type === 'grant') return payload.value.key === member && decides(table.authority, body.author)
  if (payload.type !== 'redeem' || payload.value.key !== member) return false
  const invite = inviteOf(payload.value.invite, table)
  // Attack: an invite that was never used is used when it is over. No fact tells when it was, so who is first told here, by
  // whoever gains by it, does not believe it; members who have heard of it in time tell each other.
  return invite !== undefined && invite.key === body.author && invite.expires > table.now
}

function inviteOf(id: FactId, { authority, shown }: Table): { key: Principal; expires: number } | undefined {
  const known = authority.invites.find(({ fact }) => fact === id)
  if (known !== undefined) return known
  const fact = shown.get(id)?.fact
  return fact?.payload.type === 'invite' && decides(authority, fact.body.author) ? fact.payload.value : undefined
}

/** Attack: grants that anybody has signed, each of which would cost a fold. */
function decides(authority: Authority, author: Principal): boolean {
  return author === authority.recovery || standingRoles(authority, author).some(({ role }) => role === 'owner')
}

/** A fact after those that were shown and stand before it, its invite first; undefined when something is missing. */
function withNeeded(lead: Shown, { known, shown }: Table): readonly Shown[] | undefined {
  const ids = new Set(known.map(({ id }) => id))
  const chosen = new Set<Shown>()
  const follow = (last: Shown): boolean => {
    const chain: Shown[] = []
    for (let at: Shown | undefined = last; at !== undefined;) {
      chain.unshift(at)
      const { prev } = at.fact.body
      if (prev === null || ids.has(prev)) break
      at = shown.get(prev)
      if (at === undefined) return false
    }
    for (const each of chain) chosen.add(each)
    return true
  }
  const { payload } = lead.fact
  const invite = payload.type === 'redeem' ? shown.get(payload.value.invite) : undefined
  if (invite !== undefined && !follow(invite)) return undefined
  return follow(lead) ? [...chosen] : undefined
}
