import { beforeAll, describe, expect, test } from 'vitest'
import { generateSecret, principalOf } from '../../attestation/keys.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { exportKey, importKey } from '../../storage/key-export.ts'

const secret = generateSecret(new Uint8Array(32).fill(3))
const key = { principal: principalOf(secret), secret }
const passphrase = 'correct horse Zürich'

describe('a key export', () => {
  let text: string
  beforeAll(async () => {
    text = await exportKey(key, passphrase)
  })

  test('comes back with its passphrase, also when its accents were typed in two parts', async () => {
    expect(await importKey(text, passphrase)).toEqual({ principal: key.principal, secret: Uint8Array.from(secret) })
    expect((await importKey(text, passphrase.normalize('NFD'))).principal).toBe(key.principal)
  })

  test('is JSON, says which key it is, and holds no secret in the clear', () => {
    expect(JSON.parse(text)).toMatchObject({ format: 'ggen-node-key/1', principal: key.principal, kdf: { n: 131072 } })
    expect(text).not.toContain(Buffer.from(secret).toString('hex'))
    expect(text.length).toBeLessThan(LIMITS.keys.fileBytes)
  })

  test('is different every time', async () => {
    const other = JSON.parse(await exportKey(key, passphrase)) as { kdf: { salt: string }; sealed: string }
    expect(text).not.toContain(other.kdf.salt)
    expect(text).not.toContain(other.sealed)
  })

  test.each([
    ['wrong', 'correct horse Zurich'],
    ['empty', ''],
    ['too long', 'x'.repeat(LIMITS.keys.passphraseChars + 1)]
  ])('stays shut for a passphrase that is %s', async (_, guess) => {
    await expect(importKey(text, guess)).rejects.toMatchObject({ code: 'BAD_PASSPHRASE' })
  })

  test.each(['salt', 'nonce', 'sealed'])('with one digit of its %s changed does not open', async field => {
    const changed = text.replace(new RegExp(`("${field}": ")(.)`), (_, before: string, digit: string) => {
      return before + (digit === '0' ? '1' : '0')
    })
    expect(changed).not.toBe(text)
    await expect(importKey(changed, passphrase)).rejects.toMatchObject({ code: 'BAD_PASSPHRASE' })
  })

  test('under the name of another key does not open', async () => {
    const other = principalOf(generateSecret(new Uint8Array(32).fill(4)))
    const renamed = text.replace(key.principal, other)
    await expect(importKey(renamed, passphrase)).rejects.toMatchObject({ code: 'BAD_PASSPHRASE' })
  })

  test.each<readonly [string, (original: string) => string]>([
    ['cut short', original => original.slice(0, -4)],
    ['empty', () => ''],
    ['with a field more', original => original.replace('"p": 1,', '"p": 1, "q": 2,')],
    ['with a field twice', original => original.replace('"p": 1,', '"p": 1, "n": 131072,')],
    ['with another p', original => original.replace('"p": 1', '"p": 4')],
    ['with another format', original => original.replace('key/1', 'key/2')],
    ['with upper-case digits', original => original.replace(/"sealed": "[0-9a-f]+"/, match => match.toUpperCase())],
    ['with Windows line ends', original => original.replaceAll('\n', '\r\n')],
    ['with a principal that is none', original => original.replace('did:key:z6Mk', 'did:key:z6Mm')]
  ])('%s is refused before any work is done', async (_, change) => {
    await expect(importKey(change(text), passphrase)).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  test.each([2 ** 30, 2 ** 14, 131_073])('that asks for the cost %d is refused before any memory is taken', async n => {
    const costly = text.replace('"n": 131072', `"n": ${n}`)
    await expect(importKey(costly, passphrase)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })

  test('that is huge is refused by its size', async () => {
    await expect(importKey(text + ' '.repeat(LIMITS.keys.fileBytes), passphrase)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED'
    })
  })
})
