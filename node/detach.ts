import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
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
  if (running !== undefined) {
    throw new RegistryError('HOME_LOCKED', `a node with process id ${running.pid} already runs on ${home}`, {
      next: 'ggen-node status'
    })
  }
  await initHome(home)
  const log = join(home, 'node.log')
  const file = await open(log, 'a', 0o600)
  const child = spawn(process.execPath, [entry, '--home', home, 'start', ...flagsOf(settings)], {
    detached: true,
    stdio: ['ignore', file.fd, file.fd]
  })
  await file.close()
  child.unref()
  const address = await answering(child, { home, log, signal })
  const { peerId, addresses } = await localClient(address).call('status', {}, { signal })
  return { pid: address.pid, log, peerId, addresses }
}

/** Waits until the process has written down where it answers, or has ended. */
async function answering(
  child: ChildProcess,
  { home, log, signal }: { readonly home: string; readonly log: string; readonly signal: AbortSignal }
): Promise<DaemonAddress> {
  let failed: Error | undefined
  child.once('error', error => (failed = error))
  const { detachMs } = LIMITS.lifecycle
  const deadline = Date.now() + detachMs
  for (;;) {
    // Looked at before the file is: a process that wrote it and ended in between has not started.
    const hasEnded = child.exitCode !== null || child.signalCode !== null || failed !== undefined
    const address = hasEnded ? undefined : await daemonAddress(home)
    if (address !== undefined && address.pid === child.pid) return address
    if (hasEnded) {
      throw new RegistryError('DAEMON_UNREACHABLE', `the node did not start: ${endOf(child, failed)}`, {
        tried: [`its log is ${log}`],
        next: `read ${log}`
      })
    }
    if (signal.aborted) {
      child.kill()
      throw new RegistryError('CANCELLED', 'interrupted, and the node that was starting was ended')
    }
    if (Date.now() > deadline) {
      throw new RegistryError('TIMEOUT', `the node runs and does not answer after ${detachMs / 60_000} minutes`, {
        tried: [`process ${child.pid}, its log is ${log}`],
        next: `ggen-node status says when it answers; to end it: kill ${child.pid}`
      })
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function endOf({ exitCode, signalCode }: ChildProcess, failed: Error | undefined): string {
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
