import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readPassphraseFile } from '../../node/key-ring.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { tempDir } from '../support/temp-dir.ts'

test.skipIf(!existsSync('/dev/zero'))('a file without end is given up at the limit', async () => {
  expect(await codeOfAsync(() => readPassphraseFile('/dev/zero'))).toBe('LIMIT_EXCEEDED')
})

test('a file of exactly the limit is read, its first line is the passphrase', async () => {
  const file = join(await tempDir('keys'), 'passphrase')
  await writeFile(file, `open sesame\r\n${'x'.repeat(LIMITS.keys.fileBytes - 13)}`)
  expect(await readPassphraseFile(file)).toBe('open sesame')
  await writeFile(file, 'x'.repeat(LIMITS.keys.fileBytes + 1))
  expect(await codeOfAsync(() => readPassphraseFile(file))).toBe('LIMIT_EXCEEDED')
})
