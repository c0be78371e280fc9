import type { VerifiedFact } from './chains.ts'
import type { Principal } from './did.ts'
import type { FactType } from './fact.ts'
import type { Role } from './role.ts'

/*
 * Of facts with which the fold throws together the last in an order is blamed (`fold-apart.ts`). What is asked here is asked before anything
 * is folded, so it is read off facts as they are signed, or off an authority that was folded before.
 */

/** What takes away or warns is blamed after what gives. */
const TAKING: ReadonlySet<FactType> = new Set(['advisory', 'quarantine', 'resolve', 'revoke', 'yank'])

function takingFirst(a: VerifiedFact, b: VerifiedFact): number {
  return Number(TAKING.has(b.body.type)) - Number(TAKING.has(a.body.type)) || a.body.seq - b.body.seq
}

/** Who holds more is blamed later, and of those alike who was given it earlier. `place`: undefined of whoever holds nothing. */
export function mightiestFirst(
  place: (author: Principal) => number | undefined
): (a: VerifiedFact, b: VerifiedFact) => number {
  const known = new Map<Principal, number>()
  const rank = ({ body: { author } }: VerifiedFact): number => {
    const found = known.get(author) ?? place(author) ?? Number.MAX_SAFE_INTEGER
    known.set(author, found)
    return found
  }
  return (a, b) => rank(a) - rank(b) || takingFirst(a, b)
}

/** More than facts of one subject: how early somebody was given something decides among those who hold the same. */
const RUNG = 2 ** 32

export function placeOn(rung: number, since: number): number {
  return rung * RUNG + since
}

/** The place of a key by the first of the roles that it holds. */
export function placeBy(roles: readonly Role[], since: (role: Role) => number | undefined): number | undefined {
  for (const [rung, role] of roles.entries()) {
    const found = since(role)
    if (found !== undefined) return placeOn(rung, found)
  }
  return undefined
}

/**
 * By how many grants each owner is away from the first ones. Attack: somebody who grants himself what he cannot give. Only what an owner
 * signed is followed; whether it counts in the end is not known yet.
 */
export function ownersFrom(first: Iterable<Principal>, facts: readonly VerifiedFact[]): ReadonlyMap<Principal, number> {
  const given = Map.groupBy(
    facts.flatMap(({ body, payload }) =>
      payload.type === 'grant' && payload.value.role === 'owner' ? [{ by: body.author, key: payload.value.key }] : []
    ),
    ({ by }) => by
  )
  const away = new Map<Principal, number>([...first].map(key => [key, 0]))
  for (const [owner, steps] of away)
    for (const { key } of given.get(owner) ?? []) if (!away.has(key)) away.set(key, steps + 1)
  return away
}

/** Made when it is first asked for: nearly never. */
export function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}
