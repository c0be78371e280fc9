import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { REPOSITORY } from '../support/shared.ts'

const OWNER = join('attestation', 'keys.ts')
const FOLDERS = ['protocol', 'attestation', 'storage', 'node', 'bin', 'web']

/** Ways to a second opinion on a signature. */
const FORBIDDEN = [
  /['"]@noble\/(ed25519|curves)/,
  /\bcreateVerify\b/,
  /\bsubtle\s*\.\s*verify\b/,
  /\b(crypto|webcrypto|ed25519|ed)\s*\.\s*verify(Async)?\s*\(/,
  /import\s*(type\s*)?\{[^}]*\bverify\b[^}]*\}\s*from\s*['"](node:)?crypto['"]/,
  /\b(publicKey|key)\s*\.\s*verify\s*\(/
]

const offendingIn = (source: string) => FORBIDDEN.filter(pattern => pattern.test(source)).map(String)

describe('one verifier for the whole program', () => {
  test('no file but attestation/keys.ts checks an Ed25519 signature', async () => {
    const found: string[] = []
    let files = 0
    for (const folder of FOLDERS) {
      for await (const name of glob(`${folder}/**/*.ts`, { cwd: REPOSITORY, exclude: ['node/stubs/**'] })) {
        files += 1
        if (name === OWNER) continue
        const offending = offendingIn(readFileSync(join(REPOSITORY, name), 'utf8'))
        if (offending.length > 0) found.push(`${name}: ${offending.join(', ')}`)
      }
    }
    expect(found).toEqual([])
    expect(files).toBeGreaterThan(10)
  })

  test.each([
    "import { verify } from 'node:crypto'",
    "import { sign,\n  verify as check } from 'crypto'",
    "import * as ed from '@noble/ed25519'",
    'crypto.verify(null, message, key, signature)',
    'await webcrypto.subtle.verify(a, b, c, d)',
    "createVerify('sha256')",
    'await publicKey.verify(message, signature)'
  ])('would notice %j', source => {
    expect(offendingIn(source)).not.toEqual([])
  })
})
