import { expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import { parsePrincipal } from '../../protocol/did.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { membersOf } from '../../protocol/membership/members.ts'
import { INVITED_ROLES, useAt, usePosition } from '../../protocol/payload-invite.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import { openGate } from '../support/gate.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text, bytes } = specExample('membership')
const key = parsePrincipal(text('invite key'))

test.each(['genesis', 'invite', 'redeem'])('the %s of the document has the id and the payload that it says', type => {
  const { id, body } = parseEnvelope(bytes(`${type} envelope`))
  expect(body.type).toBe(type)
  expect(id).toBe(text(`${type} id`))
  expect(toHex(body.payload)).toBe(text(`${type} payload`))
  expect(toHex(encodePayload(parsePayload(body)))).toBe(text(`${type} payload`))
})

test.each([0, 1, 15, 16, 19])('place %i of an invite of 20 uses is where the document says', use => {
  const { chain, seq } = usePosition({ key, uses: 20 }, use)
  expect(`${chain} ${seq}`).toBe(text(`use ${use} of 20`))
  expect(useAt({ key, uses: 20 }, { chain, seq })).toBe(use)
})

test('the facts of the document are admitted and make the member a member', async () => {
  const { gate } = await openGate(parseRegistryId(text('genesis id')))
  const facts = ['genesis', 'invite', 'redeem'].map(type => bytes(`${type} envelope`))
  const verdicts = await gate.admitMany(facts, { peer: 'p' })
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['accept', 'accept', 'accept'])
  const authority = gate.state(parseRegistryId(text('genesis id')))?.authority
  expect(authority && membersOf(authority, 0).at(-1)).toMatchObject({
    key: text('member'),
    roles: ['member'],
    invite: { fact: text('invite id') },
    redeem: text('redeem id')
  })
})

test('the document names each role, each reason and the limits as they are', () => {
  const reasons = ['unknown-authority', 'invite-used-up', 'resolved', 'revoked', 'invite-used-twice']
  for (const word of [...INVITED_ROLES, ...reasons]) expect(document).toContain(`\`${word}\``)
  expect(document).toContain(`1 to ${LIMITS.membership.inviteUses.toLocaleString('en')}`)
})
