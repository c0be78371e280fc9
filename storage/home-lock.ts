import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'
import { temporaryName } from './durable.ts'
import { currentProcess, isAlive } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** Which file is the lock, and how it is spoken of. */
export interface LockPlace {
  readonly dir: string
  readonly file: string
  /** `the data directory /home/me/.ggen-node` */
  readonly what: string
  readonly code: 'HOME_LOCKED' | 'PROJECT_LOCKED'
  readonly next: string
}

function homeLock(dir: string): LockPlace {
  const next = 'or choose another directory with --home'
  return { dir, file: 'lock', what: `the data directory ${dir}`, code: 'HOME_LOCKED', next }
}

interface LockRecord extends ProcessIdentity {
  readonly nonce: string
}

/** A lock on a folder, held until it is released or its process dies. */
export interface HomeLock {
  release(): Promise<void>
}

/** Takes the data directory for this process. @throws RegistryError HOME_LOCKED */
export async function takeHomeLock(dir: string): Promise<HomeLock> {
  return takeLock(homeLock(dir))
}

/** The process that holds a data directory, or undefined when nobody does. */
export async function holderOf(dir: string): Promise<ProcessIdentity | undefined> {
  const tail = await lastRecord(homeLock(dir))
  return tail !== undefined && isAlive(tail) ? { pid: tail.pid, start: tail.start } : undefined
}

/**
 * Takes a folder for this process.
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
 * @throws RegistryError of the place's code
 */
export async function takeLock(place: LockPlace): Promise<HomeLock> {
  const { dir, file } = place
  const mine: LockRecord = { ...currentProcess(), nonce: randomBytes(16).toString('hex') }
  for (let attempt = 0; attempt < LIMITS.storage.lockAttempts; attempt++) {
    const tail = await lastRecord(place)
    if (tail !== undefined && isAlive(tail)) throw locked(place, tail)
    const name = tail === undefined ? file : successor(place, tail)
    if (!(await publish(place, name, mine))) continue
    if ((await lastRecord(place))?.nonce === mine.nonce) return hold(place, name, mine)
    await rm(join(dir, name), { force: true })
  }
  throw new RegistryError(place.code, `${place.what} is being taken by other processes`)
}

async function hold(place: LockPlace, name: string, mine: LockRecord): Promise<HomeLock> {
  const { dir, file } = place
  // Its own record becomes the head of the chain in one step; who walked the old chain meanwhile fails invariant 3.
  if (name !== file) await rename(join(dir, name), join(dir, file))
  for (const entry of await readdir(dir)) {
    if (entry.startsWith(`${file}.after-`)) await rm(join(dir, entry), { force: true })
  }
  return {
    release: async () => {
      // A holder that somebody robbed by hand must not remove the robber's lock.
      if ((await readRecord(place, file))?.nonce === mine.nonce) await rm(join(dir, file), { force: true })
    }
  }
}

function successor({ file }: LockPlace, { nonce }: LockRecord): string {
  return `${file}.after-${nonce}`
}

async function lastRecord(place: LockPlace): Promise<LockRecord | undefined> {
  let last = await readRecord(place, place.file)
  for (let i = 0; last !== undefined && i < LIMITS.storage.lockAttempts; i++) {
    const next = await readRecord(place, successor(place, last))
    if (next === undefined) return last
    last = next
  }
  return last
}

/** Makes a record appear whole under a name that must be free. */
async function publish({ dir, what }: LockPlace, name: string, record: LockRecord): Promise<boolean> {
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
    if (!isDiskFull(cause)) throw toWriteError(cause, `the lock of ${what}`)
    throw new RegistryError('DISK_FULL', `no space is left to open ${what}`, {
      cause,
      next: 'free some space on this disk, and run it again'
    })
  } finally {
    await rm(temporary, { force: true })
  }
}

async function readRecord({ dir, what, code }: LockPlace, name: string): Promise<LockRecord | undefined> {
  const file = join(dir, name)
  let text: string
  try {
    text = await readShort(file)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined
    throw new RegistryError(code, `the lock of ${what} cannot be read`, { cause })
  }
  const match = /^([1-9][0-9]{0,9}) (\S+) ([0-9a-f]{32})\n$/.exec(text)
  const [, pid, start, nonce] = match ?? []
  if (pid === undefined || start === undefined || nonce === undefined) {
    // Written by nobody that we know. Taking over from a process that may live is worse than asking a person.
    throw new RegistryError(code, `the lock of ${what} is not one of ours`, {
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

function locked({ what, code, next }: LockPlace, { pid }: LockRecord): RegistryError {
  return new RegistryError(code, `${what} is in use by process ${pid}`, {
    detail: { pid },
    next: `stop process ${pid}, ${next}`
  })
}
