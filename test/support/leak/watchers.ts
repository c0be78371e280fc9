import { Detector, told } from './findings.ts'
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
  /** Both ask everything, at both doors. */
  visit(): Promise<void>
  /** What was answered, in all. */
  readonly answers: Answer[]
  readonly accepted: number[]
  end(): Promise<void>
}

/** @param ports which of the node's ports are tried at each visit; its own two without it */
export async function startWatchers(town: Town, places: { readonly curious: Place; readonly knowing: Place }) {
  const start = async (label: string, place: Place): Promise<Stranger> => {
    const stranger = await startStranger(label, place.prefix)
    await stranger.host([`/ip4/${place.address}/tcp/0`], [town.square])
    return stranger
  }
  const curious = await start('curious', places.curious)
  const knowing = await start('knowing', places.knowing)
  const rumours = await rumoursOf(town)
  const answers: Answer[] = []
  const accepted: number[] = []
  const control: Rumours = { ...NO_RUMOURS, registries: [town.square] }
  const watchers: Watchers = {
    curious,
    knowing,
    rumours,
    answers,
    accepted,
    visit: async () => {
      const [open, hidden] = [town.publicAddress(), await town.privateAddress()]
      for (const [stranger, heard] of [
        [curious, control],
        [knowing, { ...rumours, registries: [...rumours.registries, town.square] }]
      ] as const) {
        const inPublic = await stranger.visit(open, { rumours: heard })
        accepted.push(inPublic.accepted ? 1 : 0)
        answers.push(...inPublic.answers)
        for (const greets of [true, false]) {
          const visit = await stranger.visit(hidden, { greets, rumours: heard })
          if (visit.accepted) throw new Error('a stranger was let into the private swarm')
          answers.push(...visit.answers)
        }
        await stranger.knock(hostOf(open), [portOf(open), portOf(hidden)])
      }
    },
    end: async () => {
      await curious.end()
      await knowing.end()
    }
  }
  return watchers
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
export async function toldIn(things: readonly Thing[], recordings: readonly string[], since = 0) {
  const detector = new Detector(things)
  const lines: string[] = []
  for (const recording of recordings) lines.push(...told(await detector.read(recording, { since })))
  return lines
}
