import { expect, test } from 'vitest'
import { foldRegistry } from '../../node/services/membership.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { parseFactId } from '../../protocol/cid.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { cpuMs } from '../support/cpu-time.ts'
import { FactWriter, contentIdOf, person } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { toVerified } from '../support/fold.ts'

const [root, ann, eve] = [person('root'), person('ann'), person('eve')]
const MANY = 10_000
const LIMIT_MS = 2_000

/** Facts of one chain that are like another in all but place and head: nobody signs ten thousand for a test of folding. */
function chainOf(like: VerifiedFact, by: Person, headOf: (before: VerifiedFact | undefined, i: number) => FactId) {
  const facts: VerifiedFact[] = []
  for (let i = 0; i < MANY; i += 1) {
    const before = facts.at(-1)
    const id = parseFactId(contentIdOf(`${like.id} ${i}`).replace(/^bafkrei/, 'bafyrei'))
    const body = { ...like.body, author: by.did, chain: by.chain, seq: i, prev: before?.id ?? null }
    const key = `${like.id} ${i}` as Principal
    const value = { ...like.payload.value, key, authPrev: headOf(before, i) }
    facts.push({ id, body, payload: { type: like.payload.type, value } as VerifiedFact['payload'] })
  }
  return facts
}

function timed(facts: FactWriter, more: readonly VerifiedFact[]): number {
  const all = [...facts.all.map(toVerified), ...more]
  const ms = cpuMs(() => foldRegistry(facts.registry, all))
  return ms
}

/** A removed owner, a publisher, and one change of each kind to copy. */
function registry() {
  const facts = new FactWriter(root)
  const owner = facts.grant(ann.did, 'owner')
  const head = facts.grant(eve.did, 'publisher', { authPrev: owner.id })
  facts.revoke(ann.did, { authPrev: head.id, heads: [] })
  const grant = toVerified(facts.grant(person('x').did, 'owner', { by: eve, authPrev: head.id }))
  const revoke = toVerified(facts.revoke(person('x').did, { by: eve, authPrev: head.id }))
  return { facts, head: head.id, kinds: { grant, revoke } }
}

for (const by of [ann, eve, root]) {
  for (const kind of ['grant', 'revoke'] as const) {
    for (const shape of ['side by side', 'one below the other'] as const) {
      const name = by === ann ? 'a removed owner' : by === eve ? 'a publisher' : 'an owner'
      test(`ten thousand changes (${kind}, ${shape}) by ${name} are folded in bounded time`, () => {
        const { facts, head, kinds } = registry()
        const device = { ...by, chain: person('device').chain }
        const more = chainOf(kinds[kind], device, before => (shape === 'side by side' ? head : (before?.id ?? head)))
        expect(timed(facts, more)).toBeLessThan(LIMIT_MS)
      })
    }
  }
}
