import { describe, expect, test } from 'vitest'
import { parseSecret, principalOf } from '../../attestation/keys.ts'
import { signSubmission, verifySubmission } from '../../attestation/sign-submission.ts'
import { equalBytes, toHex } from '../../protocol/bytes.ts'
import { parseFactId, parseRegistryId } from '../../protocol/cid.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { isReservedName, lookOf } from '../../protocol/similar-name.ts'
import { packageNameOf } from '../../protocol/package-name.ts'
import { encodeSubmission, encodeSubmissionEnvelope, parseSubmission } from '../../protocol/submission.ts'
import type { Submission } from '../../protocol/submission.ts'
import {
  SUBMIT_REFUSALS,
  decodeSubmitAnswer,
  decodeSubmitRequest,
  encodeSubmitAnswer,
  encodeSubmitRequest
} from '../../protocol/submit-messages.ts'
import type { SubmitAnswer } from '../../protocol/submit-messages.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text, bytes } = specExample('submit')

const secret = parseSecret(bytes('author secret'))
const author = principalOf(secret)
const registry = parseRegistryId(text('registry'))
const envelope = parseSubmission(encodeSubmissionEnvelope(bytes('body'), author, bytes('signature')))

describe('the document', () => {
  test('shows a submission with the id and the signature that it says', () => {
    expect(author).toBe(text('author'))
    expect(envelope.id).toBe(text('id'))
    expect(envelope.body).toMatchObject({ registry, name: 'ggen/novel', keys: [author], threshold: 1, note: 'a novel' })
    expect(verifySubmission(envelope)).toBe(true)
    expect(toHex(signSubmission(envelope.body, secret))).toBe(toHex(envelope.bytes))
  })

  test('shows the requests and answers as they are', () => {
    const submit = { type: 'submit', envelope: envelope.bytes } as const
    const ask = { type: 'ask', registry, id: envelope.id } as const
    expect(decodeSubmitRequest(bytes('submit'))).toEqual(submit)
    expect(decodeSubmitRequest(bytes('ask'))).toEqual(ask)
    expect([toHex(encodeSubmitRequest(submit)), toHex(encodeSubmitRequest(ask))]).toEqual([text('submit'), text('ask')])
    const answers: readonly SubmitAnswer[] = [
      { type: 'granted', fact: parseFactId(text('claim')) },
      { type: 'waiting' },
      { type: 'denied', reason: 'too general' },
      { type: 'refused', reason: 'name-taken' }
    ]
    for (const answer of answers) {
      expect(decodeSubmitAnswer(bytes(answer.type))).toEqual(answer)
      expect(toHex(encodeSubmitAnswer(answer))).toBe(text(answer.type))
    }
  })

  test('names each refusal and the limits as they are', () => {
    for (const word of SUBMIT_REFUSALS) expect(document).toContain(`\`${word}\``)
    const { envelopeBytes, requestBytes, answerBytes, nameChars, noteChars, reasonChars, inbox, decided } =
      LIMITS.submit
    const numbers = [envelopeBytes, requestBytes, answerBytes, nameChars, noteChars, reasonChars, inbox, decided]
    for (const number of numbers) expect(document).toContain(number.toLocaleString('en'))
  })
})

describe('a submission has one spelling', () => {
  const spelled = (overrides: Partial<Record<keyof Submission, unknown>>): Uint8Array =>
    encodeSubmissionEnvelope(
      encodeSubmission({ ...envelope.body, ...overrides } as Submission),
      author,
      envelope.signature
    )
  const many = Array.from({ length: LIMITS.submit.keys + 1 }, () => author)

  test('and that is taken', () => {
    expect(equalBytes(spelled({}), envelope.bytes)).toBe(true)
    const longest = { name: 'n'.repeat(LIMITS.submit.nameChars), note: 'ä'.repeat(LIMITS.submit.noteChars) }
    expect(parseSubmission(spelled(longest)).body).toMatchObject(longest)
  })

  test.each<[string, Partial<Record<keyof Submission, unknown>>]>([
    ['another version', { v: 2 }],
    ['no name', { name: '' }],
    ['a name that is too long', { name: 'n'.repeat(LIMITS.submit.nameChars + 1) }],
    ['no keys', { keys: [] }],
    ['a key twice', { keys: [author, author] }],
    ['nine keys', { keys: many }],
    ['a key that is none', { keys: [author, 'did:key:z6Mkz'] }],
    ['a threshold of nobody', { threshold: 0 }],
    ['a threshold above the keys', { threshold: 2 }],
    ['a note that is not trimmed', { note: ' a' }],
    ['a note that turns the reading direction', { note: 'a\u202eb' }],
    ['a note that is too long', { note: 'n'.repeat(LIMITS.submit.noteChars + 1) }],
    ['a time before 1970', { time: -1 }],
    ['a short nonce', { nonce: new Uint8Array(15) }],
    ['one field more', { extra: 1 } as never]
  ])('so %s is refused', (_, overrides) => {
    expect(() => parseSubmission(spelled(overrides))).toThrow(RegistryError)
  })

  test('and messages have one too', () => {
    for (const wrong of [
      { type: 'waiting', more: 1 },
      { type: 'denied', reason: ' x' },
      { type: 'refused', reason: 'because' },
      { type: 'granted', fact: 'bafy' },
      {},
      []
    ]) {
      expect(() => decodeSubmitAnswer(encodeCbor(wrong))).toThrow(RegistryError)
      expect(() => decodeSubmitRequest(encodeCbor(wrong))).toThrow(RegistryError)
    }
  })
})

test('names that differ in case and separators only look alike', () => {
  expect(new Set(['left-pad', 'leftpad', 'Left_Pad', 'l.eft.pad'].map(lookOf))).toEqual(new Set(['leftpad']))
  expect(isReservedName(packageNameOf('ggen', 'g-gen'))).toBe(true)
  expect(isReservedName(packageNameOf('ggen', 'ggen-tools'))).toBe(false)
})
