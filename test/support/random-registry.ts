import fc from 'fast-check'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import type { Payload } from '../../protocol/payload.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Role } from '../../protocol/role.ts'
import { FactWriter, make, person, subject } from './facts.ts'
import type { Made, Person } from './facts.ts'

const NAMES = ['root', 'ann', 'bob', 'eve', 'zoe', 'recovery', 'kim']
const people = NAMES.map(name => person(name))
const devices = NAMES.map((name, i) => ({ ...(people[i] ?? person(name)), chain: person(`device of ${name}`).chain }))
/** Keys of invites, so few that one of them is made the key of several. */
const doors = [person('front door'), person('back door')]
const INVITED = ['publisher', 'curator', 'member'] as const
const ROLES: readonly Role[] = ['owner', 'owner', 'publisher', 'curator', 'mirror']
const CHANGES: ReadonlySet<string> = new Set(['genesis', 'grant', 'revoke', 'resolve', 'invite'])
const PLACE = 1_000

/** One move in a registry where anybody may try anything, at any head, from any of two devices. */
export interface Move {
  readonly kind: (typeof KINDS)[number]
  readonly by: number
  readonly about: number
  readonly at: number
  readonly more: number
  readonly heads: number
}

const KINDS = [
  'grant',
  'grant',
  'owner',
  'revoke',
  'revoke',
  'revoke',
  'cosign',
  'cosign',
  'resolve',
  'fork',
  'fork',
  'recovery',
  'invite',
  'invite',
  'redeem',
  'redeem',
  'redeem',
  'redouble',
  'endInvite',
  'claim',
  'claim',
  'release',
  'release',
  'packageGrant',
  'packageRevoke'
] as const

export function moves(maxLength: number): fc.Arbitrary<readonly Move[]> {
  return fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      // Those who may are tried most often, so that much of it counts.
      by: fc.oneof(fc.constantFrom(0, 1, people.length, people.length + 1), fc.nat(people.length * 2 - 1)),
      about: fc.nat(people.length - 1),
      at: fc.nat(PLACE),
      more: fc.nat(PLACE),
      heads: fc.nat(PLACE)
    }),
    { minLength: 6, maxLength }
  )
}

function pick<T>(all: readonly T[], at: number): T {
  // The later half is named most often, so that trees grow deep as well as wide.
  const value = all[Math.floor(Math.sqrt(at / (PLACE + 1)) * all.length)]
  if (value === undefined) throw new Error('nothing to pick from')
  return value
}

function who(index: number): Person {
  const found = [...people, ...devices][index]
  if (found === undefined) throw new Error('nobody')
  return found
}

/** The registry that moves make, whoever had the right to which. */
export function play(list: readonly Move[], threshold: number): FactWriter {
  const [root, ann] = [who(0), who(1)]
  const facts = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold })
  for (const move of list) act(facts, move)
  return facts
}

function about(facts: FactWriter, name: string): readonly Made[] {
  return facts.all.filter(({ body }) => body.subject === name)
}

function act(facts: FactWriter, { kind, by: index, about: other, at, more, heads }: Move): void {
  const by = who(index)
  const { did } = who(other)
  const own = facts.all.filter(({ body }) => body.author === did && body.registry !== null)
  const known = own.slice(0, Math.round((heads / PLACE) * own.length))
  const name = more % 2 === 0 ? 'alpha' : 'beta'
  const authPrev = pick(
    about(facts, 'registry').filter(({ body }) => CHANGES.has(body.type)),
    at
  ).id
  const inPackage = about(facts, subject(name))
  const own0: FactId = inPackage.length === 0 ? authPrev : pick(inPackage, heads).id
  const threshold = more % 11 === 0 ? { threshold: 1 + (more % 3) } : {}
  switch (kind) {
    case 'grant':
      facts.grant(did, pick(ROLES, more), { by, authPrev, scope: more % 5 === 0 ? 'ggen/al*' : '*' })
      return
    case 'owner':
      facts.grant(did, 'owner', { by, authPrev, ...threshold })
      return
    case 'recovery':
      facts.grant(did, 'recovery', { by: more % 2 === 0 ? who(5) : by, authPrev })
      return
    case 'invite': {
      const uses = 1 + (heads % 3)
      const scope = more % 5 === 0 ? 'ggen/al*' : '*'
      facts.invite(door(more).did, { by, authPrev, role: pick(INVITED, heads), scope, uses })
      return
    }
    case 'redeem':
      redeem(facts, did, { at, more })
      return
    case 'redouble':
      redouble(facts, did, more)
      return
    case 'endInvite': {
      const { did: ended } = door(more)
      const used = facts.all.filter(({ body }) => body.author === ended)
      facts.revoke(ended, { by, authPrev, heads: used.slice(0, Math.round((heads / PLACE) * used.length)) })
      return
    }
    case 'revoke': {
      const role = more % 4 === 0 ? { role: pick(ROLES, heads) } : {}
      const isWhole = more % 6 !== 0
      const raised = isWhole && !('role' in role) ? threshold : {}
      facts.revoke(did, { by, authPrev, heads: known, ...role, ...raised, ...(isWhole ? {} : { scope: 'ggen/al*' }) })
      return
    }
    case 'cosign':
      facts.cosign(by, pick(facts.all, more), authPrev)
      return
    case 'resolve': {
      const keep = pick(facts.all, more)
      const twin = facts.all.find(({ id, body }) => id !== keep.id && isTwin(body, keep.body))
      const isAbout = keep.body.subject === 'registry'
      if (twin !== undefined) facts.resolve(keep, [twin], { by, authPrev: isAbout ? authPrev : own0, head: authPrev })
      return
    }
    case 'fork':
      fork(facts, pick(facts.all, at), { authPrev: pick(about(facts, 'registry'), more).id, time: heads })
      return
    case 'claim':
      facts.claim(name, { by, keys: [did], authPrev })
      return
    case 'release':
      facts.release(name, `1.${more % 3}.0`, { registry: authPrev, package: own0 }, { by, content: `${heads % 3}` })
      return
    case 'packageGrant':
      facts.packageGrant(name, did, more % 3 === 0 ? 'publisher' : 'owner', { by, authPrev: own0, head: authPrev })
      return
    case 'packageRevoke':
      facts.packageRevoke(name, did, { by, authPrev: own0, head: authPrev })
  }
}

function door(at: number): Person {
  return doors[at % doors.length] ?? who(0)
}

/** Uses an invite: at a place of its own or beyond, now and then under a key that is not its. */
function redeem(facts: FactWriter, key: Principal, { at, more }: { at: number; more: number }): void {
  const invites = about(facts, 'registry').filter(({ body }) => body.type === 'invite')
  if (invites.length === 0) return
  const invite = pick(invites, at)
  const payload = parsePayload(invite.body)
  const own = doors.find(({ did }) => payload.type === 'invite' && payload.value.key === did)
  facts.redeem(invite, key, { by: more % 7 === 0 ? door(at) : (own ?? door(at)), use: more % 4 })
}

/** Uses a position once more, for another key. */
function redouble(facts: FactWriter, key: Principal, at: number): void {
  const uses = about(facts, 'registry').filter(({ body }) => body.type === 'redeem')
  if (uses.length === 0) return
  const { body } = pick(uses, at)
  const payload = parsePayload(body)
  const by = doors.find(({ did }) => did === body.author)
  if (payload.type !== 'redeem' || by === undefined) return
  const again: Payload = { type: 'redeem', value: { ...payload.value, key } }
  facts.all.push(make({ ...body, time: body.time + at, payload: encodePayload(again) }, by))
}

/** Signs a position once more, with another time or under another head. */
function fork(facts: FactWriter, one: Made, { authPrev, time }: { authPrev: FactId; time: number }): void {
  const author = people.find(({ did }) => did === one.body.author)
  if (one.body.registry === null || author === undefined) return
  const payload = parsePayload(one.body)
  const isMoved = time % 2 === 0 && one.body.subject === 'registry' && 'authPrev' in payload.value
  const moved = isMoved ? { ...payload, value: { ...payload.value, authPrev } } : payload
  facts.all.push(make({ ...one.body, time, payload: encodePayload(moved as Payload) }, author))
}

function isTwin(a: Made['body'], b: Made['body']): boolean {
  const isSame = a.subject === b.subject && a.registry !== null && b.registry !== null
  return isSame && a.author === b.author && a.chain === b.chain && a.seq === b.seq
}
