import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { ERROR_CODES, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { holderOf } from '../storage/home-lock.ts'
import { homePath } from './config.ts'
import type { StartSettings } from './config.ts'
import { initHome } from './home.ts'
import { localClient } from './http/local-client.ts'
import type { DaemonAddress } from './http/local-client.ts'
import { daemonAddress } from './open-client.ts'

export interface Detached {
  readonly pid: number
  readonly log: string
  readonly peerId: string | null
  readonly addresses: readonly string[]
}

/**
 * Starts a node in the background and returns when it answers. As long as its process lives it may be about to: on a machine
 * that is busy that takes minutes. Whoever interrupts ends it.
 * @throws RegistryError HOME_LOCKED | DAEMON_UNREACHABLE | TIMEOUT
 */
export async function startDetached(settings: StartSettings, entry: string, signal: AbortSignal): Promise<Detached> {
  const home = homePath(settings.home)
  const running = await daemonAddress(home)
  if (running !== undefined) throw taken(home, running.pid)
  await initHome(home)
  const log = join(home, 'node.log')
  const file = await open(log, 'a', 0o600)
  const child = await spawned([entry, '--home', home, 'start', ...flagsOf(settings)], file)
  const address = await answering(child, { home, log, signal })
  try {
    const { peerId, addresses } = await localClient(address).call('status', {}, { signal })
    return { pid: address.pid, log, peerId, addresses }
  } catch (error) {
    throw signal.aborted ? interrupted(child) : error
  }
}

/** A process, and why there is none. */
interface Started {
  readonly process: ChildProcess
  failed: Error | undefined
}

async function spawned(args: readonly string[], log: FileHandle): Promise<Started> {
  try {
    const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log.fd, log.fd] })
    const started: Started = { process: child, failed: undefined }
    // At once: a failure that nobody listens to when it is told ends this process.
    child.once('error', error => (started.failed = error))
    child.unref()
    return started
  } finally {
    await log.close()
  }
}

/** Waits until the process has written down where it answers, or has ended. */
async function answering(
  started: Started,
  { home, log, signal }: { readonly home: string; readonly log: string; readonly signal: AbortSignal }
): Promise<DaemonAddress> {
  const { process: child } = started
  const { detachMs } = LIMITS.lifecycle
  const deadline = Date.now() + detachMs
  for (;;) {
    // Looked at before the file is: a process that wrote it and ended in between has not started.
    const hasEnded = child.exitCode !== null || child.signalCode !== null || started.failed !== undefined
    const address = hasEnded ? undefined : await daemonAddress(home)
    if (address !== undefined && address.pid === child.pid) return address
    if (hasEnded) {
      // Of two that are started at the same time one takes the home, and writes down a while later where it answers.
      const isLocked = child.exitCode === ERROR_CODES.HOME_LOCKED.exit
      const winner = isLocked ? ((await daemonAddress(home)) ?? (await holderOf(home))) : undefined
      if (winner !== undefined && winner.pid !== child.pid) throw taken(home, winner.pid, [`its log is ${log}`])
      throw new RegistryError('DAEMON_UNREACHABLE', `the node did not start: ${endOf(started)}`, {
        tried: [`its log is ${log}`],
        next: `read ${log}`
      })
    }
    if (signal.aborted) throw interrupted(started)
    if (Date.now() > deadline) {
      throw new RegistryError('TIMEOUT', `the node runs and does not answer after ${detachMs / 60_000} minutes`, {
        tried: [`process ${child.pid}, its log is ${log}`],
        next: `ggen-node status says when it answers; to end it: kill ${child.pid}`
      })
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function taken(home: string, pid: number, tried: readonly string[] = []): RegistryError {
  return new RegistryError('HOME_LOCKED', `the data directory ${home} is in use by process ${pid}`, {
    tried,
    next: 'ggen-node status'
  })
}

function interrupted({ process: child }: Started): RegistryError {
  child.kill()
  return new RegistryError('CANCELLED', 'interrupted, and the node that was starting was ended')
}

function endOf({ process: { exitCode, signalCode }, failed }: Started): string {
  if (failed !== undefined) return failed.message
  return signalCode === null ? `its process ended with exit code ${exitCode}` : `its process was ended by ${signalCode}`
}

/** The options of `start` as somebody would type them. */
function flagsOf({ flags }: StartSettings): readonly string[] {
  return Object.entries(flags).flatMap(([flag, value]) => {
    if (typeof value === 'boolean') return [value ? `--${flag}` : `--no-${flag}`]
    return (typeof value === 'string' ? [value] : value).flatMap(text => [`--${flag}`, text])
  })
}
