import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createPrivateKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { listKeys, readKey, removeKey, writeKey } from '../../storage/key-files.ts'
import { startChild } from '../support/child.ts'
import { tempDir } from '../support/temp-dir.ts'

const secret = Uint8Array.from({ length: 32 }, (_, i) => i + 1)
const onPosix = test.skipIf(process.platform === 'win32')

describe('key files', () => {
  test('come back as they were written, listed in order', async () => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'laptop', secret)
    await writeKey(dir, 'ci-2', new Uint8Array(32).fill(2))
    await writeFile(join(dir, 'README'), 'not a key')
    expect(await listKeys(dir)).toEqual(['ci-2', 'laptop'])
    expect(await readKey(dir, 'laptop')).toEqual(secret)
    await removeKey(dir, 'laptop')
    expect(await listKeys(dir)).toEqual(['ci-2'])
    await expect(removeKey(dir, 'laptop')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
    expect(await listKeys(join(dir, 'nowhere'))).toEqual([])
  })

  test('are PKCS#8 that other tools read', async () => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'laptop', secret)
    const key = createPrivateKey(await readFile(join(dir, 'laptop.pem')))
    expect(key.asymmetricKeyType).toBe('ed25519')
    expect(key.export({ format: 'jwk' }).d).toBe(Buffer.from(secret).toString('base64url'))
  })

  onPosix('are readable by their owner only, whatever the umask', async () => {
    const dir = await tempDir('keys')
    const before = process.umask(0)
    await writeKey(dir, 'laptop', secret).finally(() => process.umask(before))
    expect((await stat(join(dir, 'laptop.pem'))).mode & 0o777).toBe(0o600)
  })

  onPosix.each([0o640, 0o604, 0o620, 0o610])('with mode %o are refused, and the way out is told', async mode => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'laptop', secret)
    await chmod(join(dir, 'laptop.pem'), mode)
    const refusal = { code: 'UNSAFE_PERMISSIONS', next: expect.stringContaining('chmod 600') as unknown }
    await expect(readKey(dir, 'laptop')).rejects.toMatchObject(refusal)
  })

  test('are never overwritten, also not by two writers at once', async () => {
    const dir = await tempDir('keys')
    const writers = [1, 2, 3, 4].map(fill => writeKey(dir, 'laptop', new Uint8Array(32).fill(fill)))
    const results = await Promise.allSettled(writers)
    const winner = results.findIndex(result => result.status === 'fulfilled')
    const losers = results.flatMap(result => (result.status === 'rejected' ? [result.reason as unknown] : []))
    expect(losers).toHaveLength(3)
    for (const error of losers) expect(error).toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await readKey(dir, 'laptop')).toEqual(new Uint8Array(32).fill(winner + 1))
    expect(await readdir(dir)).toEqual(['laptop.pem'])
  })

  test.each(['', '-a', 'A', 'a/b', '../a', 'a.b', 'a b', 'ü', 'a\0', 'a'.repeat(LIMITS.keys.nameChars + 1)])(
    'refuses the name %j',
    async name => {
      const dir = await tempDir('keys')
      await expect(writeKey(dir, name, secret)).rejects.toMatchObject({ code: 'INVALID_NAME' })
      await expect(readKey(dir, name)).rejects.toMatchObject({ code: 'INVALID_NAME' })
    }
  )

  test.each<readonly [string, (text: string) => string]>([
    ['cut short', text => text.slice(0, -3)],
    ['longer', text => `${text}\n`],
    ['with Windows line ends', text => text.replaceAll('\n', '\r\n')],
    ['of another algorithm', text => text.replace('MC4CAQAwBQYDK2Vw', 'MC4CAQAwBQYDK2Vu')],
    ['empty', () => ''],
    ['huge', text => text + ' '.repeat(LIMITS.keys.fileBytes)]
  ])('a file that is %s is no key', async (_, change) => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'laptop', secret)
    const file = join(dir, 'laptop.pem')
    await writeFile(file, change(await readFile(file, 'latin1')))
    await expect(readKey(dir, 'laptop')).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  onPosix('a link or a folder under a key name is not followed', async () => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'real', secret)
    await symlink(join(dir, 'real.pem'), join(dir, 'link.pem'))
    await mkdir(join(dir, 'folder.pem'))
    await expect(readKey(dir, 'link')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
    await expect(readKey(dir, 'folder')).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  test('a missing key names those that are there', async () => {
    const dir = await tempDir('keys')
    await writeKey(dir, 'laptop', secret)
    const refusal = { code: 'KEY_NOT_FOUND', next: 'choose one of laptop' }
    await expect(readKey(dir, 'desktop')).rejects.toMatchObject(refusal)
  })

  test('a process killed while it writes keys leaves every one whole or absent, and all that it reported', async () => {
    for (let round = 0; round < 3; round++) {
      const dir = await tempDir('keys')
      const child = startChild('write-keys', [dir])
      const reported = [await child.line(), ...(await child.kill())]
      const names = await listKeys(dir)
      for (const number of reported) expect(names).toContain(`key-${number}`)
      for (const name of names) expect(await readKey(dir, name)).toEqual(new Uint8Array(32).fill(Number(name.slice(4))))
    }
  })
})
