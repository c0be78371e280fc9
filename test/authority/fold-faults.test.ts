import { expect, test } from 'vitest'
import { FactWriter, person } from '../support/facts.ts'
import { authorityOf } from '../support/fold.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]

test('an owner who is replaced beside his successor does not leave the other owner to decide alone', () => {
  const facts = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold: 2 })
  const grant = facts.grant(bob.did, 'owner')
  facts.cosign(ann, grant)
  const revoke = facts.revoke(ann.did)
  facts.cosign(ann, revoke)
  const alone = facts.revoke(bob.did, { authPrev: revoke.id })
  expect(authorityOf(facts).order.has(alone.id)).toBe(false)
})
