import fc from 'fast-check'
import type { FactId } from '../../protocol/cid.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import type { Payload } from '../../protocol/payload.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'

/** Two owners, who invite; guests, who are invited; and few keys of invites, so that some are those of several. */
const owners = [person('root'), person('ann')]
const guests = ['kim', 'lee', 'pat'].map(name => person(name))
const doors = [person('front door'), person('back door')]
const INVITED = ['publisher', 'curator', 'member'] as const
const CHANGES: ReadonlySet<string> = new Set(['genesis', 'grant', 'revoke', 'resolve', 'invite'])
const KINDS = [
  'invite',
  'invite',
  'redeem',
  'redeem',
  'redeem',
  'double',
  'astray',
  'end',
  'expel',
  'settle',
  'grant',
  'claim',
  'release',
  'release'
] as const

/** One thing that somebody does with invites. */
export interface Move {
  readonly kind: (typeof KINDS)[number]
  readonly who: number
  readonly door: number
  readonly more: number
  /** Now and then a change is made under an older head. */
  readonly back: number
}

export function inviteMoves(maxLength: number): fc.Arbitrary<readonly Move[]> {
  return fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      who: fc.nat(guests.length - 1),
      door: fc.nat(doors.length - 1),
      more: fc.nat(999),
      back: fc.oneof(fc.constant(0), fc.constant(0), fc.nat(3))
    }),
    { minLength: 8, maxLength }
  )
}

export function playInvites(list: readonly Move[]): FactWriter {
  const [root] = owners
  if (root === undefined) throw new Error('nobody')
  const facts = new FactWriter(root, { roots: owners.map(({ did }) => did).toSorted() })
  facts.claim('alpha')
  for (const move of list) act(facts, move)
  return facts
}

function act(facts: FactWriter, { kind, who, door: doorAt, more, back }: Move): void {
  const [by, guest, door] = [at(owners, more), at(guests, who), at(doors, doorAt)]
  const changes = facts.all.filter(({ body }) => CHANGES.has(body.type) && body.subject === 'registry')
  const authPrev = (changes.at(-1 - back) ?? facts.genesis).id
  switch (kind) {
    case 'invite':
      facts.invite(door.did, { by, authPrev, uses: 1 + (more % 4), role: at([...INVITED], more) })
      return
    case 'redeem':
      redeem(facts, { guest, more })
      return
    case 'double':
      double(facts, guest, more)
      return
    case 'astray':
      astray(facts, { guest, door, more })
      return
    case 'end':
    case 'expel': {
      const key = (kind === 'end' ? door : guest).did
      const own = facts.all.filter(({ body }) => body.author === key)
      facts.revoke(key, { by, authPrev, heads: more % 3 === 0 ? own : own.filter((_, index) => index <= more % 5) })
      return
    }
    case 'settle':
      settle(facts, { by, authPrev, more })
      return
    case 'grant':
      facts.grant(guest.did, at([...INVITED], more), { by, authPrev })
      return
    case 'claim':
      facts.claim('beta', { by: guest, authPrev })
      return
    case 'release':
      release(facts, { by: guest, authPrev, more })
  }
}

function ofType(facts: FactWriter, type: string): readonly Made[] {
  return facts.all.filter(({ body }) => body.type === type)
}

/** The next free place, or one after it. */
function redeem(facts: FactWriter, { guest, more }: { guest: Person; more: number }): void {
  const invite = at(ofType(facts, 'invite'), more)
  const by = invite === undefined ? undefined : doorOf(invite)
  if (invite !== undefined && by !== undefined) facts.redeem(invite, guest.did, { by, use: more % 5 })
}

/** The same place for somebody else. */
function double(facts: FactWriter, guest: Person, more: number): void {
  const use = at(ofType(facts, 'redeem'), more)
  const by = use === undefined ? undefined : doors.find(({ did }) => did === use.body.author)
  if (use === undefined || by === undefined) return
  const { value } = parsePayload(use.body) as Extract<Payload, { type: 'redeem' }>
  const payload = encodePayload({ type: 'redeem', value: { ...value, key: guest.did } })
  facts.all.push(make({ ...use.body, time: use.body.time + more, payload }, by))
}

/** A chain that is no place of any invite, or the key of another one. */
function astray(facts: FactWriter, { guest, door, more }: { guest: Person; door: Person; more: number }): void {
  const invite = at(ofType(facts, 'invite'), more)
  if (invite === undefined) return
  const payload: Payload = { type: 'redeem', value: { invite: invite.id, key: guest.did } }
  if (more % 2 === 0) facts.write(door, 'registry', payload)
  else facts.redeem(invite, guest.did, { by: door, use: more % 3 })
}

/** Decides between two uses of one place. */
function settle(facts: FactWriter, { by, authPrev, more }: { by: Person; authPrev: FactId; more: number }): void {
  const places = Map.groupBy(ofType(facts, 'redeem'), ({ body }) => placeOf(body))
  const doubled = [...places.values()].filter(uses => uses.length > 1)
  const [over, keep] = at(doubled, more)?.toSorted((a, b) => (a.id < b.id ? -1 : 1)) ?? []
  if (keep !== undefined && over !== undefined) facts.resolve(keep, [over], { by, authPrev })
}

function placeOf({ author, chain, seq }: Made['body']): string {
  return `${author} ${chain} ${seq}`
}

function release(facts: FactWriter, { by, authPrev, more }: { by: Person; authPrev: FactId; more: number }): void {
  const [claim] = facts.all.filter(({ body }) => body.subject === subject(more % 3 === 0 ? 'beta' : 'alpha'))
  if (claim === undefined) return
  const name = claim.body.subject.slice('ggen/'.length)
  facts.release(name, `1.${more % 4}.0`, facts.cite(claim, authPrev), { by, content: `${more % 2}` })
}

function doorOf({ body }: Made): Person | undefined {
  const payload = parsePayload(body)
  return payload.type === 'invite' ? doors.find(({ did }) => did === payload.value.key) : undefined
}

function at<T>(all: readonly [T, ...T[]] | readonly T[], index: number): T
function at<T>(all: readonly T[], index: number): T | undefined {
  return all[index % Math.max(1, all.length)]
}
