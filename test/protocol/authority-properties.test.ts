import fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { encodeAuthorityRow } from '../../protocol/view-row.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { toVerified } from '../support/fold.ts'

const people = ['root', 'ann', 'bob', 'eve', 'zoe', 'recovery'].map(name => person(name))
const PLACE = 1_000

/** One move in a registry where anybody may try anything, at any head, from any of two devices. */
interface Move {
  readonly kind: 'grant' | 'owner' | 'revoke' | 'cosign' | 'resolve' | 'fork'
  readonly by: number
  readonly device: number
  readonly about: number
  readonly at: number
  readonly heads: number
  readonly threshold: number
}

const moves = (kinds: readonly Move['kind'][]): fc.Arbitrary<readonly Move[]> =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      by: fc.nat(people.length - 1),
      device: fc.nat(1),
      about: fc.nat(people.length - 1),
      at: fc.nat(PLACE),
      heads: fc.nat(PLACE),
      threshold: fc.nat(4)
    }),
    { minLength: 4, maxLength: 18 }
  )

function pick<T>(all: readonly T[], at: number): T {
  // The later half is named most often, so that trees grow deep as well as wide.
  const value = all[Math.floor(Math.sqrt(at / (PLACE + 1)) * all.length)]
  if (value === undefined) throw new Error('nothing to pick from')
  return value
}

function play(list: readonly Move[], threshold: number): FactWriter {
  const [root, ann] = [who(0), who(1)]
  const facts = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold })
  for (const move of list) act(facts, move)
  return facts
}

function who(index: number, device = 0): Person {
  const found = people[index]
  if (found === undefined) throw new Error('nobody')
  return device === 0 ? found : { ...found, chain: person(`device of ${index}`).chain }
}

function act(facts: FactWriter, { kind, by: index, device, about, at, heads, threshold }: Move): void {
  const by = who(index, device)
  const { did } = who(about)
  const authPrev = pick(facts.all, at).id
  const asked = threshold > 2 ? threshold - 2 : undefined
  switch (kind) {
    case 'grant':
      facts.grant(did, index === 5 && threshold === 0 ? 'recovery' : 'publisher', { by, authPrev })
      return
    case 'owner':
      facts.grant(did, 'owner', { by, authPrev, ...(asked === undefined ? {} : { threshold: asked }) })
      return
    case 'revoke': {
      const own = facts.all.filter(({ body }) => body.author === did && body.registry !== null)
      const known = own.slice(0, Math.round((heads / PLACE) * own.length))
      facts.revoke(did, { by, authPrev, heads: known, ...(threshold === 0 ? { role: 'owner' } : {}) })
      return
    }
    case 'cosign':
      facts.cosign(by, pick(facts.all, at))
      return
    case 'resolve': {
      const keep = pick(facts.all, at)
      const twin = facts.all.find(({ id, body }) => id !== keep.id && isTwin(body, keep.body))
      if (twin !== undefined) facts.resolve(keep, [twin], { by, authPrev: facts.all[0]?.id ?? keep.id })
      return
    }
    case 'fork': {
      const one = pick(facts.all, at)
      const author = people.find(({ did: key }) => key === one.body.author)
      if (one.body.registry !== null && author !== undefined) facts.all.push(make({ ...one.body, time: at }, author))
    }
  }
}

function isTwin(a: Made['body'], b: Made['body']): boolean {
  return a.author === b.author && a.chain === b.chain && a.seq === b.seq && a.registry !== null
}

function fold(facts: FactWriter, some: readonly VerifiedFact[]): Authority {
  const authority = foldAuthority(facts.registry, some)
  if (authority === undefined) throw new Error('no genesis')
  return authority
}

const EVERYTHING = ['grant', 'owner', 'revoke', 'cosign', 'resolve', 'fork'] as const
const NO_FORKS = ['grant', 'owner', 'revoke', 'cosign'] as const

test('any order of arrival folds to the same row, whoever tries what', () => {
  fc.assert(
    fc.property(
      moves(EVERYTHING),
      fc.integer({ min: 1, max: 2 }),
      fc.infiniteStream(fc.nat()),
      (list, threshold, keys) => {
        const facts = play(list, threshold)
        const all = facts.all.map(toVerified)
        const shuffled = all
          .map(fact => ({ fact, key: Number(keys.next().value) }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ fact }) => fact)
        expect(toHex(encodeAuthorityRow(fold(facts, shuffled), shuffled))).toBe(
          toHex(encodeAuthorityRow(fold(facts, all), all))
        )
      }
    ),
    { numRuns: 100 }
  )
})

test('what is cut has no say: the rest alone decides the same, and cuts nothing more', () => {
  fc.assert(
    fc.property(moves(EVERYTHING), fc.integer({ min: 1, max: 2 }), (list, threshold) => {
      const facts = play(list, threshold)
      const all = facts.all.map(toVerified)
      const known = fold(facts, all)
      const set = all.filter(fact => !known.isCut(fact))
      const again = fold(facts, set)
      expect([...again.order.keys()]).toEqual([...known.order.keys()])
      expect(set.filter(again.isCut).map(({ id }) => id)).toEqual([])
      // What stays away would be turned away again.
      expect(all.filter(fact => !set.includes(fact)).every(again.isCut)).toBe(true)
    }),
    { numRuns: 150 }
  )
})

test('what does not count leaves no trace, whatever part of it is known', () => {
  fc.assert(
    fc.property(
      moves(NO_FORKS),
      fc.integer({ min: 1, max: 2 }),
      fc.infiniteStream(fc.boolean()),
      (list, threshold, keep) => {
        const facts = play(list, threshold)
        const all = facts.all.map(toVerified)
        const { order } = fold(facts, all)
        const cosigns = ({ payload }: VerifiedFact): boolean => payload.type === 'cosign'
        const some = all.filter(fact => order.has(fact.id) || cosigns(fact) || keep.next().value === true)
        expect([...fold(facts, some).order.keys()]).toEqual([...order.keys()])
      }
    ),
    { numRuns: 150 }
  )
})
