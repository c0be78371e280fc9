import { equalBytes } from '../protocol/bytes.ts'
import type { MembersOfSwarm } from './services/swarm/members.ts'

/** The secrets that a private host was started under. */
export interface RunsUnder {
  readonly secret: Uint8Array
  readonly walls: readonly Uint8Array[]
}

type Secrets = MembersOfSwarm['keys']

const NO_BYTES = new Uint8Array()

/** Another secret is the newest, or others open the outer wall: that before is good no longer, or one was proposed. */
export function isOutdated(running: RunsUnder | undefined, secrets: Secrets): boolean {
  if (running === undefined) return false
  const walls = wallsOf(secrets)
  const isSame =
    walls.length === running.walls.length && walls.every((wall, i) => equalBytes(wall, running.walls[i] ?? NO_BYTES))
  // Two may be of one epoch.
  return !isSame || !equalBytes(running.secret, secrets.current.secret)
}

/** The secrets whose keys are the outer wall, where there is one. */
export function wallsOf({ current, overlapping, proposed }: Secrets): readonly Uint8Array[] {
  if (!current.psk) return []
  const others = [...overlapping, ...(proposed === undefined ? [] : [proposed])]
  return [current.secret, ...others.map(({ secret }) => secret)]
}
