import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, toWriteError } from './disk-errors.ts'
import { temporaryName } from './durable.ts'
import { currentProcess, isAlive } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

const LOCK = 'lock'
const SUCCESSOR = 'lock.after-'

interface LockRecord extends ProcessIdentity {
  readonly nonce: string
}

/** A lock on a data directory, held until it is released or its process dies. */
export interface HomeLock {
  release(): Promise<void>
}

/**
 * Takes the data directory for this process.
 *
 * The file `lock` holds `<pid> <start> <nonce>`. A record R whose process is dead is succeeded by the file
 * `lock.after-<nonce of R>`, and so on: the last record of that chain is the holder.
 *
 * Invariants:
 * 1. Files appear whole, by hard link, and a link to an existing name fails: each record has one successor.
 * 2. Only a dead record is ever given a successor, and nothing but its holder removes or replaces `lock`.
 * 3. Whoever has added a record walks the chain again from `lock` and is the holder only if it ends in that record.
 *
 * So of any number of processes that find the same dead record one succeeds it, and a crash anywhere leaves a dead record,
 * which the next process succeeds.
 *
 * @throws RegistryError HOME_LOCKED
 */
export async function takeHomeLock(dir: string): Promise<HomeLock> {
  const mine: LockRecord = { ...currentProcess(), nonce: randomBytes(16).toString('hex') }
  for (let attempt = 0; attempt < LIMITS.storage.lockAttempts; attempt++) {
    const tail = await lastRecord(dir)
    if (tail !== undefined && isAlive(tail)) throw locked(dir, tail)
    const name = tail === undefined ? LOCK : `${SUCCESSOR}${tail.nonce}`
    if (!(await publish(dir, name, mine))) continue
    if ((await lastRecord(dir))?.nonce === mine.nonce) return hold(dir, name, mine)
    await rm(join(dir, name), { force: true })
  }
  throw new RegistryError('HOME_LOCKED', `the data directory ${dir} is being taken by other processes`)
}

/** The process that holds a data directory, or undefined when nobody does. */
export async function holderOf(dir: string): Promise<ProcessIdentity | undefined> {
  const tail = await lastRecord(dir)
  return tail !== undefined && isAlive(tail) ? { pid: tail.pid, start: tail.start } : undefined
}

async function hold(dir: string, name: string, mine: LockRecord): Promise<HomeLock> {
  // Its own record becomes the head of the chain in one step; who walked the old chain meanwhile fails invariant 3.
  if (name !== LOCK) await rename(join(dir, name), join(dir, LOCK))
  for (const entry of await readdir(dir)) {
    if (entry.startsWith(SUCCESSOR)) await rm(join(dir, entry), { force: true })
  }
  return {
    release: async () => {
      // A holder that somebody robbed by hand must not remove the robber's lock.
      if ((await readRecord(join(dir, LOCK)))?.nonce === mine.nonce) await rm(join(dir, LOCK), { force: true })
    }
  }
}

async function lastRecord(dir: string): Promise<LockRecord | undefined> {
  let last = await readRecord(join(dir, LOCK))
  for (let i = 0; last !== undefined && i < LIMITS.storage.lockAttempts; i++) {
    const next = await readRecord(join(dir, `${SUCCESSOR}${last.nonce}`))
    if (next === undefined) return last
    last = next
  }
  return last
}

/** Makes a record appear whole under a name that must be free. */
async function publish(dir: string, name: string, record: LockRecord): Promise<boolean> {
  const temporary = join(dir, temporaryName())
  try {
    await writeFile(temporary, `${record.pid} ${record.start === '' ? '-' : record.start} ${record.nonce}\n`, {
      flag: 'wx',
      mode: 0o600
    })
    await link(temporary, join(dir, name))
    return true
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') return false
    throw toWriteError(cause, 'the lock of the data directory')
  } finally {
    await rm(temporary, { force: true })
  }
}

async function readRecord(file: string): Promise<LockRecord | undefined> {
  let text: string
  try {
    text = await readShort(file)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined
    throw new RegistryError('HOME_LOCKED', 'the lock of the data directory cannot be read', { cause })
  }
  const match = /^([1-9][0-9]{0,9}) (\S+) ([0-9a-f]{32})\n$/.exec(text)
  const [, pid, start, nonce] = match ?? []
  if (pid === undefined || start === undefined || nonce === undefined) {
    // Written by nobody that we know. Taking over from a process that may live is worse than asking a person.
    throw new RegistryError('HOME_LOCKED', 'the lock of the data directory is not one of ours', {
      next: `remove ${file} if no ggen-node runs there`
    })
  }
  return { pid: Number(pid), start: start === '-' ? '' : start, nonce }
}

async function readShort(file: string): Promise<string> {
  const handle = await open(file, 'r')
  try {
    if ((await handle.stat()).size > LIMITS.storage.lockBytes) return ''
    return await readFile(handle, 'utf8')
  } finally {
    await handle.close()
  }
}

function locked(dir: string, { pid }: LockRecord): RegistryError {
  return new RegistryError('HOME_LOCKED', `the data directory ${dir} is in use by process ${pid}`, {
    detail: { pid },
    next: `stop process ${pid}, or choose another directory with --home`
  })
}
