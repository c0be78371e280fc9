import { Detector, told } from './findings.ts'
import type { ScanOptions } from './findings.ts'
import type { Thing } from './needles.ts'
import { cidThing } from './needles.ts'
import type { Answer, Rumours } from './questions.ts'
import { NO_RUMOURS, startStranger } from './stranger.ts'
import type { Stranger } from './stranger.ts'
import { rumoursOf } from './town.ts'
import type { Place, Town } from './town.ts'
import { without } from './things.ts'

/**
 * Strangers: two in public, as anybody may be, of whom one knows nothing and one has heard of the vault; and one who has the
 * pre-shared key of the private swarm, where it has one, and is no member.
 */
export interface Watchers {
  readonly curious: Stranger
  readonly knowing: Stranger
  readonly holder: Stranger
  readonly rumours: Rumours
  /** Their peer ids. They tell each other and everybody else what they have heard: that is not the node's doing. */
  readonly gossips: readonly string[]
  /** Both ask everything, at both doors, or at the public one. */
  visit(doors?: 'both' | 'public'): Promise<void>
  /** What was answered, in all. */
  readonly answers: Answer[]
  /** Whether the public host took them in, for each visit. */
  readonly accepted: boolean[]
  /** Whether who has the pre-shared key came through the outer wall of the private host, for each try. */
  readonly reached: boolean[]
  end(): Promise<void>
}

export interface WatchersInit {
  readonly curious: Place
  readonly knowing: Place
}

export async function startWatchers(town: Town, places: WatchersInit): Promise<Watchers> {
  const start = async (label: string, { address, prefix }: Place): Promise<readonly [Stranger, string]> => {
    const stranger = await startStranger(label, prefix)
    const { peerId } = await stranger.host([`/ip4/${address}/tcp/0`], [town.square])
    return [stranger, peerId]
  }
  const [curious, first] = await start('curious', places.curious)
  const [knowing, second] = await start('knowing', places.knowing)
  const rumours = await rumoursOf(town)
  const holder = await startStranger('holder', places.knowing.prefix)
  await holder.host([], [], town.psk)
  const answers: Answer[] = []
  const accepted: boolean[] = []
  const reached: boolean[] = []
  // What everybody may know is asked for too: who is not told that has asked wrongly.
  const open: Rumours = { ...NO_RUMOURS, registries: [town.square] }
  const both: Rumours = { ...rumours, registries: [...rumours.registries, town.square] }
  const atPublicDoor = async (stranger: Stranger, heard: Rumours): Promise<void> => {
    const visit = await stranger.visit(town.publicDoor, { rumours: heard })
    // It may be about to start again.
    if (visit.connected) accepted.push(visit.accepted)
    answers.push(...visit.answers)
  }
  const atPrivateDoor = async (stranger: Stranger, heard: Rumours): Promise<void> => {
    for (const greets of [true, false]) {
      const visit = await stranger.visit(town.privateDoor, { greets, rumours: heard })
      if (visit.accepted) throw new Error('a stranger was let into the private swarm')
      if (stranger === holder) reached.push(visit.connected)
      answers.push(...visit.answers)
    }
    await stranger.knock(hostOf(town.privateDoor), [portOf(town.publicDoor), portOf(town.privateDoor)])
  }
  const visit = async (doors: 'both' | 'public' = 'both'): Promise<void> => {
    await Promise.all([atPublicDoor(curious, open), atPublicDoor(knowing, both)])
    if (doors === 'public') return
    await Promise.all([atPrivateDoor(curious, open), atPrivateDoor(knowing, both), atPrivateDoor(holder, both)])
  }
  const end = async (): Promise<void> => {
    for (const stranger of [curious, knowing, holder]) await stranger.end()
  }
  return { curious, knowing, holder, gossips: [first, second], rumours, answers, accepted, reached, visit, end }
}

function hostOf(address: string): string {
  return address.split('/')[2] ?? ''
}

export function portOf(address: string): number {
  return Number(address.split('/')[4])
}

/** Whoever asks for an id has said it himself, and may hear it repeated; whether he was told more, the answers say. */
export function unasked(things: readonly Thing[], { cids, registries, facts, topics, protocols }: Rumours) {
  const asked = [...cids, ...registries, ...facts].map(cid => cidThing('content', cid))
  const digests = new Set(asked.map(({ bytes }) => Buffer.from(bytes.subarray(-32)).toString('hex')))
  return without(things, asked).filter(({ label, form, bytes }) => {
    if (form === 'bytes' && digests.has(Buffer.from(bytes).toString('hex'))) return false
    return !topics.includes(label) && !protocols.includes(label)
  })
}

/** All that these recordings hold of the things, as lines. */
export async function toldIn(things: readonly Thing[], recordings: readonly string[], options: ScanOptions = {}) {
  const detector = new Detector(things)
  const lines: string[] = []
  for (const recording of recordings) lines.push(...told(await detector.read(recording, options)))
  return lines
}
