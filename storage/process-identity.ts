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
  return { pid: process.pid, start: startOf(process.pid) ?? '' }
}

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
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return String(Math.round((Date.now() - uptime() * 1000) / 60_000))
  }
}

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // proc(5): the name in brackets may hold anything, so fields are counted from the last bracket; 22 is the start time.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return ticks === undefined ? undefined : `${ticks}@${boot}`
  } catch {
    return undefined
  }
}
