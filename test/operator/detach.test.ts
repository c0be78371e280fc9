import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDetached } from '../../node/detach.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { containing } from '../support/like.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Starts a program in the place of a node. */
async function detached(source: string, signal = new AbortController().signal): Promise<unknown> {
  const folder = await tempDir('detach')
  const entry = join(folder, 'entry.mjs')
  await writeFile(entry, source)
  const home = join(folder, 'home')
  return await startDetached({ home, flags: {} }, entry, signal).catch((error: unknown) => error)
}

test('a process that ends has not started, and how it ended is said', async () => {
  expect(await detached('process.exit(9)')).toMatchObject({
    code: 'DAEMON_UNREACHABLE',
    message: containing('exit code 9'),
    next: containing('node.log')
  })
  expect(await detached("process.kill(process.pid, 'SIGKILL')")).toMatchObject({ message: containing('SIGKILL') })
})

test('whoever interrupts the wait for one that lives and does not answer ends it', async () => {
  const file = join(await tempDir('detach'), 'pid')
  const source = `import { writeFileSync } from 'node:fs'
setInterval(() => {}, 1_000)
writeFileSync(${JSON.stringify(file)}, String(process.pid))`
  const abort = new AbortController()
  const starting = detached(source, abort.signal)
  const pid = async (): Promise<number> => Number(await readFile(file, 'utf8').catch(() => '0'))
  await expect.poll(pid, { timeout: 30_000 }).toBeGreaterThan(0)
  abort.abort(new RegistryError('CANCELLED', 'interrupted'))
  expect(await starting).toMatchObject({ code: 'CANCELLED' })
  const isAlive = async (): Promise<boolean> => {
    try {
      return process.kill(await pid(), 0)
    } catch {
      return false
    }
  }
  await expect.poll(isAlive, { timeout: 30_000 }).toBe(false)
})
