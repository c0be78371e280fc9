import { expect, test } from 'vitest'
import { parseSecret, principalOf } from '../../attestation/keys.ts'
import { signFact, verifyFact } from '../../attestation/sign-fact.ts'
import { toHex } from '../../protocol/bytes.ts'
import { encodeBody, encodeEnvelope, FACT_TYPES, parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import { ROLES } from '../../protocol/role.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import { openGate } from '../support/gate.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text, bytes } = specExample('fact')

const secret = parseSecret(bytes('root secret'))

test('the key of the example is that of its secret', () => {
  expect(principalOf(secret)).toBe(text('root key'))
})

test.each(['genesis', 'claim'])('the %s of the document has the id, payload and signature that it says', type => {
  const envelope = parseEnvelope(encodeEnvelope(bytes(`${type} body`), bytes(`${type} signature`)))
  expect(envelope.id).toBe(text(`${type} id`))
  expect(verifyFact(envelope)).toBe(true)
  expect(toHex(envelope.body.payload)).toBe(text(`${type} payload`))
  expect(toHex(encodePayload(parsePayload(envelope.body)))).toBe(text(`${type} payload`))
  expect(toHex(encodeBody(envelope.body))).toBe(text(`${type} body`))
  expect(toHex(signFact(envelope.body, secret))).toBe(toHex(envelope.bytes))
})

test('the facts of the document are admitted and add up to the digest that it says', async () => {
  const node = await openGate(parseRegistryId(text('genesis id')))
  const facts = ['genesis', 'claim'].map(type => encodeEnvelope(bytes(`${type} body`), bytes(`${type} signature`)))
  const verdicts = await node.gate.admitMany(facts, { peer: 'p' })
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['accept', 'accept'])
  expect(await node.digest()).toBe(text('view digest'))
})

test('the document names each type, each role and the limits as they are', () => {
  for (const word of [...FACT_TYPES, ...ROLES]) expect(document).toContain(`\`${word}\``)
  const numbers = [
    LIMITS.fact.bodyBytes,
    LIMITS.fact.envelopeBytes,
    LIMITS.view.setAside,
    LIMITS.view.grants,
    LIMITS.pending.facts
  ]
  for (const number of numbers) expect(document).toContain(number.toLocaleString('en'))
})
