import type { VerifiedFact } from '../../../protocol/chains.ts'
import { factIdOf } from '../../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { encodeBody } from '../../../protocol/fact.ts'
import type { FactBody, FactType, Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { encodePayload, parsePayload } from '../../../protocol/payload.ts'
import type { Payload } from '../../../protocol/payload.ts'
import type { AuthoredFact, Signer } from '../author.ts'
import { asideReason, placeOf, withFact } from './place.ts'
import type { AsideReason, Place, PlaceGate } from './place.ts'
import { countedNodes } from './cut.ts'
import { holdingOf, ownersFor, ownersOver, rolesFor, standingOf } from './powers.ts'
import type { Standing } from './powers.ts'
import { describe, shortOf } from './words.ts'

export interface WriterComponents {
  readonly gate: PlaceGate
  readonly author: {
    write(
      registry: RegistryId,
      subject: Subject,
      payload: Payload | ((chain: string) => Promise<Payload>),
      options: { readonly signer: Signer }
    ): Promise<AuthoredFact>
  }
  /** The node's own key, or another one of the data directory. @throws RegistryError KEY_NOT_FOUND */
  readonly signer: (name: string | undefined) => Promise<Signer>
  /** Tells the network, after everything is durable. */
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly now: () => number
}

/** A fact of ours and how it stands. */
export interface Written extends Standing {
  readonly fact: FactId
  readonly type: FactType
  readonly registry: RegistryId
  readonly subject: Subject
  readonly by: Principal
  /** What it says, in words. */
  readonly text: string
  /** Changes that counted before and no longer do: what a revocation takes back, with all that was built on it. */
  readonly undone: readonly { readonly fact: FactId; readonly text: string }[]
}

/** What is to be signed, and with which key. */
export interface Order {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly signer: Signer
  readonly payload: (place: Place) => Payload
}

/**
 * Signs a fact about who may do what. Before that it is folded as if it were signed: what the fold would set aside for
 * want of a role is refused, what only waits for more signatures is written.
 * @throws RegistryError NOT_AUTHORIZED with who could | USAGE when the payload can't be
 */
export async function writeOrder(components: WriterComponents, order: Order): Promise<Written> {
  const { gate, author, announce, now } = components
  const { registry, subject, signer } = order
  const place = await placeOf(gate, registry, subject)
  const payload = order.payload(place)
  await assertCounts(place, payload, { signer, now: now() })
  const fact = await author.write(registry, subject, payload, { signer })
  announce(registry, fact)
  const standing = await standingHere(gate, registry, { id: fact.id, subject })
  const undone = undoneBetween(place, await placeOf(gate, registry, subject))
  return { ...standing, registry, subject, by: signer.principal, undone }
}

/** How a fact that is here stands now. @throws RegistryError INTERNAL when it is not here */
export async function standingHere(
  gate: PlaceGate,
  registry: RegistryId,
  { id, subject }: { readonly id: FactId; readonly subject: Subject }
): Promise<Standing & Pick<Written, 'fact' | 'type' | 'text'>> {
  const place = await placeOf(gate, registry, subject)
  const fact = place.facts.find(known => known.id === id)
  if (fact === undefined) throw new RegistryError('INTERNAL', `fact ${id} is not in the set`)
  return { ...standingOf(place, fact), fact: id, type: fact.body.type, text: describe(fact) }
}

/** Changes that counted before and no longer do. */
function undoneBetween(before: Place, after: Place): Written['undone'] {
  const counted = new Set(countedNodes(after).map(({ fact }) => fact.id))
  return countedNodes(before)
    .filter(({ fact }) => !counted.has(fact.id))
    .map(({ fact }) => ({ fact: fact.id, text: describe(fact) }))
}

interface Trial {
  readonly signer: Signer
  readonly now: number
}

/**
 * Refuses what the fold would set aside if it were signed now.
 * @throws RegistryError NOT_AUTHORIZED | USAGE
 */
export async function assertCounts(place: Place, payload: Payload, { signer, now }: Trial): Promise<void> {
  let fault = faultOf(place, trialOf(place, payload, { signer, now }))
  if (fault === 'forked-author') {
    // What this data directory signed twice at one place holds up only its own chain: the next fact begins another.
    await signer.renewChain()
    fault = faultOf(place, trialOf(place, payload, { signer, now }))
  }
  const use = { key: signer.principal, roles: rolesFor(payload.type), on: place.subject }
  if (fault === 'unknown-authority' && isBelowAwaited(place, trialOf(place, payload, { signer, now })))
    fault = undefined
  if (fault === 'no-effect' && isAwaited(place, payload, signer.principal)) fault = undefined
  if (fault !== undefined && fault !== 'threshold-not-met') throw notAuthorized(place, payload, { use, fault })
  if (holdingOf(place, use, now) === 'expired') throw notAuthorized(place, payload, { use, fault: 'expired' })
  if (payload.type === 'revoke') assertOwned(withFact(place, trialOf(place, payload, { signer, now })))
}

/** A registry or a package without an owner is nobody's for ever. @throws RegistryError USAGE */
function assertOwned({ authority, subject, view }: Place): void {
  const owners = subject === 'registry' ? ownersOver(authority, 'registry') : (view?.claim?.keys ?? [])
  if (owners.length > 0) return
  throw new RegistryError('USAGE', `this is the last owner of ${shortOf(subject)}`, {
    next: 'make another key an owner first: ggen-node owner add KEY'
  })
}

/** A change of a change that waits for signatures waits with it. */
function isBelowAwaited(place: Place, trial: VerifiedFact): boolean {
  return standingOf(withFact(place, trial), trial).needed > 0
}

/** One signature of several that are still missing has no effect yet. */
function isAwaited(place: Place, payload: Payload, key: Principal): boolean {
  if (payload.type !== 'cosign') return false
  const target = place.facts.find(({ id }) => id === payload.value.fact)
  return target !== undefined && standingOf(place, target).open.includes(key)
}

/** What is to be signed, at the place where it will stand. */
function trialOf({ facts, registry, subject }: Place, payload: Payload, { signer, now }: Trial): VerifiedFact {
  const chain = signer.chain()
  const mine = facts.filter(
    ({ body }) => body.registry !== null && body.author === signer.principal && body.chain === chain
  )
  const last = mine.reduce<VerifiedFact | undefined>(
    (highest, fact) => (highest === undefined || fact.body.seq > highest.body.seq ? fact : highest),
    undefined
  )
  const seq = last === undefined ? 0 : Math.min(last.body.seq + 1, LIMITS.fact.seq)
  const body: FactBody = {
    v: 1,
    type: payload.type,
    registry,
    subject,
    author: signer.principal,
    chain,
    seq,
    prev: last?.id ?? null,
    time: now,
    payload: encodePayload(payload)
  }
  try {
    // An edit's change is made when it is signed; who may edit does not depend on it.
    const read = payload.type === 'metadata' ? payload : parsePayload(body)
    return { id: factIdOf(encodeBody(body)), body, payload: read }
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code !== 'MALFORMED') throw cause
    throw new RegistryError('USAGE', `this can't be said: ${cause.message}`, { cause })
  }
}

function faultOf(place: Place, trial: VerifiedFact): AsideReason | undefined {
  return asideReason(withFact(place, trial), trial.id)
}

interface Fault {
  readonly use: { readonly key: Principal; readonly roles: readonly string[] }
  readonly fault: AsideReason | 'expired'
}

const WHY: Readonly<Partial<Record<Fault['fault'], string>>> = {
  expired: 'its role has expired',
  'forked-author': 'it has signed two statements for one place, which nobody has settled yet',
  revoked: 'its roles were taken away',
  'role-not-held': 'it holds no role that allows this',
  'no-effect': 'its signature would change nothing',
  'name-taken': 'the name was given out before'
}

function notAuthorized(place: Place, payload: Payload, { use, fault }: Fault): RegistryError {
  const { authority, subject } = place
  const about = subject === 'registry' ? 'in' : `about ${shortOf(subject)} in`
  const why = WHY[fault] ?? `it would be set aside: ${fault}`
  const could = ownersFor(place, payload).map(
    ({ of, keys, needed }) => `${needed} of the owners of the ${of}: ${keys.join(', ')}`
  )
  return new RegistryError(
    'NOT_AUTHORIZED',
    `this key may not do that ${about} registry ${authority.genesis.name}: ${why}`,
    {
      tried: [`looked for one of the roles ${use.roles.join(', ')} for ${use.key}`],
      next: `it takes ${could.join(', or ')}; --key NAME signs with another key of this data directory`
    }
  )
}
