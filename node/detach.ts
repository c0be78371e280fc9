import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { homePath } from './config.ts'
import type { StartSettings } from './config.ts'
import { initHome } from './home.ts'
import { localClient } from './http/local-client.ts'
import { daemonAddress } from './open-client.ts'

export interface Detached {
  readonly pid: number
  readonly log: string
  readonly peerId: string | null
  readonly addresses: readonly string[]
}

/** Starts a node in the background and returns when it answers. */
export async function startDetached(settings: StartSettings, entry: string): Promise<Detached> {
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
  let exit: number | null | undefined
  child.once('exit', code => (exit = code))
  child.unref()
  const deadline = Date.now() + LIMITS.lifecycle.startMs
  for (;;) {
    const address = await daemonAddress(home)
    if (address !== undefined) {
      const { peerId, addresses } = await localClient(address).call('status', {})
      return { pid: address.pid, log, peerId, addresses }
    }
    if (exit !== undefined || Date.now() > deadline) {
      throw new RegistryError('DAEMON_UNREACHABLE', 'the node did not start', {
        tried: [`its log is ${log}`],
        next: `read ${log}`
      })
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** The options of `start` as somebody would type them. */
function flagsOf({ flags }: StartSettings): readonly string[] {
  return Object.entries(flags).flatMap(([flag, value]) => {
    if (typeof value === 'boolean') return [value ? `--${flag}` : `--no-${flag}`]
    return (typeof value === 'string' ? [value] : value).flatMap(text => [`--${flag}`, text])
  })
}
