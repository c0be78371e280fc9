import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { factIdOfDigest } from '../../protocol/cid.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { formatToken, parseToken } from '../../protocol/membership/token.ts'
import type { Token } from '../../protocol/membership/token.ts'

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const id = bytes32.map(factIdOfDigest)
const peer = fc
  .array(fc.constantFrom(...BASE58.split('')), { minLength: 44, maxLength: 44 })
  .map(letters => `12D3KooW${letters.join('')}`)
const address = fc
  .tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 }), peer, peer)
  .chain(([ip, port, to, by]) =>
    fc.constantFrom(
      `/ip4/${ip}/tcp/${port}/p2p/${to}`,
      `/dns4/a-b.example.com/tcp/${port}/wss/p2p/${to}`,
      `/ip4/${ip}/tcp/${port}/p2p/${by}/p2p-circuit/p2p/${to}`
    )
  )
const common = {
  registry: id.map(fact => fact as string as RegistryId),
  name: fc.stringMatching(/^[a-z0-9]{1,12}(-[a-z0-9]{1,6})?$/),
  secret: bytes32,
  epoch: fc.nat(),
  psk: fc.boolean(),
  addresses: fc.uniqueArray(address, { maxLength: LIMITS.membership.tokenAddresses }),
  key: bytes32,
  expires: fc.nat()
}
const token: fc.Arbitrary<Token> = fc.oneof(
  fc.record({ ...common, kind: fc.constant('invite' as const), invite: id }),
  fc.record({ ...common, kind: fc.constant('member' as const), invite: fc.constant(null) })
)

const EXAMPLE: Token = {
  kind: 'invite',
  registry: factIdOfDigest(new Uint8Array(32).fill(1)) as string as RegistryId,
  name: 'acme',
  secret: new Uint8Array(32).fill(2),
  epoch: 0,
  psk: false,
  addresses: ['/ip4/10.0.0.5/tcp/4917/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'],
  key: new Uint8Array(32).fill(3),
  expires: 1_700_000_000_000,
  invite: factIdOfDigest(new Uint8Array(32).fill(4))
}

function refusal(text: string): RegistryError {
  try {
    parseToken(text)
  } catch (error) {
    if (isRegistryError(error)) return error
    throw error
  }
  throw new Error(`taken for a token: ${text}`)
}

describe('the text of a token', () => {
  test('says what it was made of, on one line of at most 2,048 characters', () => {
    fc.assert(
      fc.property(token, value => {
        const text = formatToken(value)
        expect(parseToken(text)).toEqual(value)
        expect(text).toMatch(/^ggen1[A-Za-z0-9_-]+$/)
        expect(text.length).toBeLessThanOrEqual(2_048)
      })
    )
  })

  test('fits with the longest of everything', () => {
    const long = `/dns4/${'a'.repeat(LIMITS.membership.tokenAddressChars - 62 - 9)}/p2p/12D3KooW${'1'.repeat(44)}`
    const addresses = [1, 2, 3, 4].map(digit => long.replace(/a\/p2p/, `${digit}/p2p`))
    const name = 'n'.repeat(LIMITS.names.registryNameChars)
    const text = formatToken({ ...EXAMPLE, name, addresses, epoch: Number.MAX_SAFE_INTEGER })
    expect(text.length).toBeLessThanOrEqual(2_048)
    expect(parseToken(text).addresses).toEqual(addresses)
  })

  test('is refused when it is cut anywhere', () => {
    fc.assert(
      fc.property(token, value => {
        const text = formatToken(value)
        for (let length = 0; length < text.length; length++)
          expect(refusal(text.slice(0, length)).code).toBe('MALFORMED')
      }),
      { numRuns: 5 }
    )
    expect(refusal(formatToken(EXAMPLE).slice(0, -3)).message).toBe('the token is cut short')
    expect(refusal('ggen1').message).toBe('the token is cut short')
  })

  test('is refused when any bit of it is flipped, and has no second spelling', () => {
    const text = formatToken(EXAMPLE)
    for (let at = 0; at < text.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = String.fromCharCode(text.charCodeAt(at) ^ (1 << bit))
        expect(refusal(text.slice(0, at) + flipped + text.slice(at + 1)).code).toBe('MALFORMED')
      }
    }
    fc.assert(
      fc.property(token, fc.nat(), fc.constantFrom(...LETTERS.split('')), (value, n, letter) => {
        const whole = formatToken(value)
        const at = 5 + (n % (whole.length - 5))
        fc.pre(whole[at] !== letter)
        expect(refusal(whole.slice(0, at) + letter + whole.slice(at + 1)).code).toBe('MALFORMED')
      })
    )
    for (const other of [`${text}=`, `${text}A`, `${text}\n`, ` ${text}`, text.toUpperCase(), `${text}${text}`]) {
      expect(refusal(other).code).toBe('MALFORMED')
    }
  })

  test.each([
    ['', 'this is no token: a token begins with ggen1'],
    ['bafyreigh2akiscaildc', 'this is no token: a token begins with ggen1'],
    ['ggen2AAAA', 'the token was made by a newer version'],
    ['ggen14AAAA', 'the token was made by a newer version'],
    [
      `${formatToken(EXAMPLE).slice(0, 60)}\n${formatToken(EXAMPLE).slice(60)}`,
      'the token holds spaces or line breaks'
    ],
    [formatToken(EXAMPLE).replace(/.$/, letter => (letter === 'A' ? 'Q' : 'A')), undefined],
    [`${formatToken(EXAMPLE)}AAAA`, 'something stands behind the end of the token'],
    [`ggen1${'A'.repeat(2_100)}`, 'a token has at most 2048 characters'],
    ['ggen1A§B', 'the token holds a character that no token has']
  ])('says in words what is wrong: %#', (text, message) => {
    const { message: said, next } = refusal(text)
    if (message !== undefined) expect(said).toBe(message)
    expect(next).toBeDefined()
  })

  test('tells a changed character from a lost end', () => {
    const text = formatToken(EXAMPLE)
    const swapped = text.slice(0, 100) + (text[100] === 'A' ? 'B' : 'A') + text.slice(101)
    expect(refusal(swapped).message).toContain('checksum is wrong')
  })

  test('is in no message about it', () => {
    const text = formatToken(EXAMPLE)
    for (const bad of [text.slice(0, -1), `${text}AAAA`, text.slice(0, 90) + '!' + text.slice(91)]) {
      const { message, next = '', cause } = refusal(bad)
      expect(`${message} ${next} ${String(cause)}`).not.toContain(text.slice(20, 40))
    }
  })

  test.each<[string, Partial<Token>]>([
    ['an address without a peer', { addresses: ['/ip4/10.0.0.5/tcp/4917'] }],
    ['an address with escape codes', { addresses: [`/dns4/\u001b[2J/tcp/1/p2p/12D3KooW${'1'.repeat(44)}`] }],
    ['five addresses', { addresses: [1, 2, 3, 4, 5].map(n => `/ip4/10.0.0.${n}/tcp/1/p2p/12D3KooW${'1'.repeat(44)}`) }],
    ['a short secret', { secret: new Uint8Array(31) }],
    ['a name that is none', { name: 'Acme Inc' }],
    ['a negative epoch', { epoch: -1 }]
  ])('is not made with %s', (_what, part) => {
    expect(() => formatToken({ ...EXAMPLE, ...part } as Token)).toThrow('a signed record does not have its shape')
  })
})
