import { expect, test } from 'vitest'
import { toHex } from '../../../protocol/bytes.ts'
import { parseRegistryId } from '../../../protocol/cid.ts'
import { HELLO_REFUSALS, HELLO_ROLES, encodeHello, encodeHelloAnswer } from '../../../protocol/hello.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { privateKeys } from '../../../protocol/membership/names.ts'
import {
  encodeOpening,
  encodeProof,
  encodeReply,
  encodeTurn,
  openingMac,
  proofMac,
  replyMac
} from '../../../protocol/membership/private-hello.ts'
import { sidesOf } from '../../support/raw-member.ts'
import { specExample } from '../../support/spec-example.ts'

const { document, text, bytes } = specExample('hello')
const { hello: key } = privateKeys(bytes('secret'))
const sides = sidesOf(text('dialler'), text('listener'))
const nonces = [bytes('nonce of the dialler'), bytes('nonce of the listener')] as const
const said = {
  versions: [1],
  agent: 'ggen-node/1',
  registries: [parseRegistryId(text('registry'))],
  roles: ['peer']
} as const
const introduction = { ...said, epoch: 1, certificate: Uint8Array.of(1, 2, 3), binding: null, evidence: [] }

test('the keys and the sides of the example follow from its secret and its peer ids', () => {
  expect(toHex(key)).toBe(text('hello key'))
  expect(toHex(sides.dialler)).toBe(text('dialler multihash'))
  expect(toHex(sides.listener)).toBe(text('listener multihash'))
})

const mac = proofMac(key, sides, nonces)
test.each([
  ['opening', encodeOpening({ nonce: nonces[0], macs: [openingMac(key, sides, nonces[0])] })],
  ['reply', encodeReply({ nonce: nonces[1], mac: replyMac(key, sides, nonces) })],
  ['after you', encodeProof({ mac, introduction: null })],
  ['proof', encodeProof({ mac, introduction })],
  ['turn', encodeTurn({ introduction, refused: null })],
  ['last turn', encodeTurn({ introduction: null, refused: null })],
  ['refusal', encodeTurn({ introduction: null, refused: 'not-a-member' })],
  ['public hello', encodeHello(said)],
  ['public answer', encodeHelloAnswer({ refused: null })]
])('the %s of the document is what is sent', (name, message) => {
  expect(toHex(message)).toBe(text(name))
})

test('the document names each reason and role, the limits and the sizes as they are', () => {
  for (const word of HELLO_REFUSALS) expect(document).toContain(`\`${word}\``)
  for (const word of HELLO_ROLES) expect(document).toContain(`"${word}"`)
  const { membership, hello } = LIMITS
  for (const number of [
    hello.messageBytes,
    membership.certificateBytes,
    membership.evidenceBytes,
    membership.helloBytes
  ]) {
    expect(document).toContain(number.toLocaleString('en'))
  }
  expect(document).toContain(`at most ${membership.openingBytes} bytes`)
  expect(document).toContain(`the opening: ${bytes('opening').length} bytes, ${bytes('opening').length + 34} during`)
  expect(document).toContain(`a reply, ${bytes('reply').length} bytes`)
  expect(document).toContain(`a proof of ${bytes('after you').length} bytes`)
  const sizes = HELLO_REFUSALS.map(refused => encodeTurn({ introduction: null, refused }).length)
  expect(document).toContain(`a turn of ${Math.min(...sizes)} to ${Math.max(...sizes)} bytes`)
})
