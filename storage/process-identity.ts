import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { codeOf } from './disk-errors.ts'

/**
 * A process that can be told from a later one with the same number: `start` is its start in clock ticks since this boot
 * and the id of the boot, or empty where the system does not say (then only the number counts).
 */
export interface ProcessIdentity {
  readonly pid: number
  readonly start: string
}

export function currentProcess(): ProcessIdentity {
  own ??= { pid: process.pid, start: startOf(process.pid) ?? '' }
  return own
}

/** Never changes, and asking the system for it takes a while where it has much to do. */
let own: ProcessIdentity | undefined

/**
 * Whether the process still runs. A process in another container on the same disk looks dead from here: against that the
 * store's own lock, which the kernel holds, is the second door.
 */
export function isAlive({ pid, start }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  const now = startOf(pid)
  return now === undefined || start === '' || now === start
}

/**
 * Names the time since the system started, so that it can be told whether it went down in between: then what was
 * written and not synced may be gone, and before that it can't be. The start's own time where the system has no name
 * for it, in steps that no clock's drift crosses often; a step too many costs one more look at some files.
 */
export function currentBoot(): string {
  boot ??= bootId()
  // Without a name it is reckoned anew each time: the clock may be set.
  return boot ?? String(Math.round((Date.now() - uptime() * 1000) / 60_000))
}

/** No process sees two. */
let boot: string | undefined

function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return undefined
  }
}

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // proc(5): the name in brackets may hold anything, so fields are counted from the last bracket; 22 is the start time.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    boot ??= bootId()
    return ticks === undefined || boot === undefined ? undefined : `${ticks}@${boot}`
  } catch {
    return undefined
  }
}
