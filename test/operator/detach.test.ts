import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDetached } from '../../node/detach.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { takeHomeLock } from '../../storage/home-lock.ts'
import { homePaths } from '../../storage/home.ts'
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
  await expect.poll(pid).toBeGreaterThan(0)
  abort.abort(new RegistryError('CANCELLED', 'interrupted'))
  expect(await starting).toMatchObject({ code: 'CANCELLED' })
  await expect.poll(async () => isRunning(await pid())).toBe(false)
})

/** Starts this program in the place of a node on a home that is there, with another program in the place of Node. */
async function startedBy(program: string, { home, entry }: { home: string; entry: string }): Promise<unknown> {
  const { execPath } = process
  process.execPath = program
  try {
    return await startDetached({ home, flags: {} }, entry, new AbortController().signal).catch(
      (error: unknown) => error
    )
  } finally {
    process.execPath = execPath
  }
}

test('a process that cannot be made has not started, and why is said', async () => {
  const folder = await tempDir('detach')
  const program = join(folder, 'no-such-program')
  expect(await startedBy(program, { home: join(folder, 'home'), entry: 'entry.mjs' })).toMatchObject({
    code: 'DAEMON_UNREACHABLE',
    message: containing('ENOENT')
  })
})

test('of two that are started at the same time the one that ends says who has the home', async () => {
  // Whoever wins takes the home while the other one is starting, and has not written down yet where it answers.
  const folder = await tempDir('detach')
  const home = join(folder, 'home')
  const entry = join(folder, 'entry.mjs')
  const go = join(folder, 'go')
  await writeFile(
    entry,
    `import { existsSync, writeFileSync } from 'node:fs'
writeFileSync(${JSON.stringify(`${go}.asked`)}, '')
setInterval(() => existsSync(${JSON.stringify(go)}) && process.exit(9), 20)`
  )
  const starting = startedBy(process.execPath, { home, entry })
  await expect.poll(() => readFile(`${go}.asked`, 'utf8').catch(() => undefined)).toBe('')
  const lock = await takeHomeLock(home)
  try {
    await writeFile(go, '')
    expect(await starting).toMatchObject({
      code: 'HOME_LOCKED',
      message: containing(`process ${process.pid}`),
      next: 'ggen-node status'
    })
  } finally {
    await lock.release()
  }
})

test('whoever interrupts while it says how it is ends it too', async () => {
  const folder = await tempDir('detach')
  const home = join(folder, 'home')
  const asked = join(folder, 'asked')
  // It writes down where it answers, takes the question, and does not answer.
  const source = `import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
const path = ${JSON.stringify(join(folder, 'socket'))}
createServer(() => writeFileSync(${JSON.stringify(asked)}, String(process.pid))).listen(path, () =>
  writeFileSync(${JSON.stringify(homePaths(home).daemon)}, JSON.stringify({ pid: process.pid, path, token: 'token' }))
)`
  const entry = join(folder, 'entry.mjs')
  await writeFile(entry, source)
  const abort = new AbortController()
  const starting = startDetached({ home, flags: {} }, entry, abort.signal).catch((error: unknown) => error)
  const pid = async (): Promise<number> => Number(await readFile(asked, 'utf8').catch(() => '0'))
  await expect.poll(pid).toBeGreaterThan(0)
  abort.abort(new RegistryError('CANCELLED', 'interrupted'))
  expect(await starting).toMatchObject({ code: 'CANCELLED' })
  await expect.poll(async () => isRunning(await pid())).toBe(false)
})

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
