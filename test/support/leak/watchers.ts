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

/** Two strangers, in public as anybody may be: one who knows nothing, and one who has heard of the vault. */
export interface Watchers {
  readonly curious: Stranger
  readonly knowing: Stranger
  readonly rumours: Rumours
  /** Their peer ids. They tell each other and everybody else what they have heard: that is not the node's doing. */
  readonly gossips: readonly string[]
  /** Both ask everything, at both doors, or at the public one. */
  visit(doors?: 'both' | 'public'): Promise<void>
  /** What was answered, in all. */
  readonly answers: Answer[]
  /** Whether the public host took them in, for each visit. */
  readonly accepted: boolean[]
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
  const answers: Answer[] = []
  const accepted: boolean[] = []
  // What everybody may know is asked for too: who is not told that has asked wrongly.
  const open: Rumours = { ...NO_RUMOURS, registries: [town.square] }
  const both: Rumours = { ...rumours, registries: [...rumours.registries, town.square] }
  const visitAs = async (stranger: Stranger, heard: Rumours, doors: 'both' | 'public'): Promise<void> => {
    const { publicDoor, privateDoor } = town
    const visit = await stranger.visit(publicDoor, { rumours: heard })
    // It may be about to start again.
    if (visit.connected) accepted.push(visit.accepted)
    answers.push(...visit.answers)
    if (doors === 'public') return
    for (const greets of [true, false]) {
      const refused = await stranger.visit(privateDoor, { greets, rumours: heard })
      if (refused.accepted) throw new Error('a stranger was let into the private swarm')
      answers.push(...refused.answers)
    }
    await stranger.knock(hostOf(publicDoor), [portOf(publicDoor), portOf(privateDoor)])
  }
  return {
    curious,
    knowing,
    gossips: [first, second],
    rumours,
    answers,
    accepted,
    visit: async (doors = 'both') =>
      void (await Promise.all([visitAs(curious, open, doors), visitAs(knowing, both, doors)])),
    end: async () => {
      await curious.end()
      await knowing.end()
    }
  }
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
