import { expect, test } from 'vitest'
import { bundleOf } from '../../node/services/authority/fact-files.ts'
import { placeOf } from '../../node/services/authority/place.ts'
import { standingOf } from '../../node/services/authority/powers.ts'
import { heldIn, rolesIn } from '../../node/services/authority/roles.ts'
import { describe as wordsOf } from '../../node/services/authority/words.ts'
import { curates, mayName } from '../../node/services/submit/naming.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parseFactFile } from '../../protocol/fact-file.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { toVerified } from '../support/fold.ts'
import { NOW, nodeWith } from './at-gate.ts'

const [root, kim, lee] = [person('root'), person('kim'), person('lee')]
const [door, gate] = [person('front door'), person('back door')]

const facts = new FactWriter(root)
const claim = facts.claim('alpha')
const invite = facts.invite(door.did, { uses: 2 })
const curating = facts.invite(gate.did, { authPrev: invite.id, role: 'curator', scope: 'ggen/al*' })
const redeem = facts.redeem(invite, kim.did, { by: door })
facts.redeem(curating, lee.did, { by: gate })
const release = facts.release('alpha', '1.0.0', facts.cite(claim, invite.id), { by: kim })

test('a file with a release brings the redemption and the invite that its author came by', async () => {
  const node = await nodeWith(facts)
  const files = { read: unused, replace: unused, assertFree: unused }
  const envelope = async (_: RegistryId, id: FactId) => facts.all.find(made => made.id === id)?.bytes
  const about = { registry: facts.registry, facts: [{ id: release.id, subject: subject('alpha') }] }
  const file = await bundleOf({ gate: node.gate, files, envelope, announce: () => {} }, about)
  const held = parseFactFile(file)
  const stranger = await nodeWith(facts, [facts.genesis])
  for (let round = 0; round < 3; round += 1)
    await stranger.gate.admitMany(
      held.map(({ bytes }) => bytes),
      { peer: 'file' }
    )
  const view = await stranger.view.find(facts.registry, subject('alpha'))
  expect(view?.versions.flatMap(({ contents }) => contents.map(({ fact }) => fact))).toEqual([release.id])
  expect(held.map(({ id }) => id)).toEqual(expect.arrayContaining([redeem.id, invite.id]))
})

test('redeemed roles are shown, and go with a key that is rotated', async () => {
  const node = await nodeWith(facts)
  const place = await placeOf(node.gate, facts.registry, 'registry')
  expect(rolesIn(place).map(({ key, role, scope, expires }) => ({ key, role, scope, expires }))).toEqual([
    { key: root.did, role: 'owner', scope: '*', expires: null },
    { key: kim.did, role: 'publisher', scope: '*', expires: null },
    { key: lee.did, role: 'curator', scope: 'ggen/al*', expires: null },
    { key: person('recovery').did, role: 'recovery', scope: '*', expires: null }
  ])
  expect(heldIn(place, kim.did)).toHaveLength(1)
  expect(standingOf(place, toVerified(redeem))).toMatchObject({ counts: true, needed: 0, open: [] })
})

test('a curator by an invite is asked for names within its scope', async () => {
  const { authority } = await placeOf((await nodeWith(facts)).gate, facts.registry, 'registry')
  expect([curates(authority, lee.did, NOW), curates(authority, kim.did, NOW)]).toEqual([true, false])
  const names = ['alpha', 'beta'].map(name => mayName(authority, lee.did, subject(name), NOW))
  expect(names).toEqual([true, false])
})

test('invites and uses are told in words that can be checked before signing', () => {
  const told = [invite, curating, redeem].map(made => wordsOf(toVerified(made)))
  expect(told).toEqual([
    `let whoever holds the secret of ${door.did} make 2 keys publisher until 2027-01-15 08:00`,
    `let whoever holds the secret of ${gate.did} make one key curator of ggen/al* until 2027-01-15 08:00`,
    `use invite ${invite.id} for ${kim.did}`
  ])
})

function unused(): never {
  throw new Error('no file is touched')
}
