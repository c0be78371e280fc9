import { compareText } from '../bytes.ts'
import { knows } from './clock.ts'
import type { Clock, Place } from './clock.ts'

/** An operation that put a value, and what replaced it since. */
interface Said {
  readonly op: string
  readonly place: Place
  readonly replaced: Place[]
}

/** Of each key: of each value the operation, as counter and number of the actor, and then chain and position of who said it and of all who replaced it. */
export interface HistoryRecord {
  readonly actors: readonly string[]
  readonly keys: readonly (readonly [key: string, said: readonly (readonly number[])[]])[]
}

/**
 * Who put what at which key, and who replaced it: what an edit replaces is what is there for somebody who knows what its
 * author knew. Automerge could tell that too, though only of heads of its own: not of one who knew half of what was folded,
 * and in time that grows with all that was ever said.
 */
export class KeyHistory {
  readonly #keys = new Map<string, Map<string, Said>>()

  static restore({ actors, keys }: HistoryRecord): KeyHistory {
    const history = new KeyHistory()
    for (const [key, said] of keys) {
      const all = new Map<string, Said>()
      for (const [counter = 0, actor = 0, ...numbers] of said) {
        const op = `${counter}@${actors[actor] ?? ''}`
        const [place = { chain: -1, seq: -1 }, ...replaced] = placesOf(numbers)
        all.set(op, { op, place, replaced })
      }
      history.#keys.set(key, all)
    }
    return history
  }

  record(): HistoryRecord {
    const actors = new Map<string, number>()
    const numberOf = (actor: string): number => {
      const number = actors.get(actor) ?? actors.size
      actors.set(actor, number)
      return number
    }
    const keys = [...this.#keys].map(([key, said]) => {
      const all = [...said.values()].map(({ op, place, replaced }) => {
        const places = [place, ...replaced].flatMap(({ chain, seq }) => [chain, seq])
        return [counterOf(op), numberOf(actorIn(op)), ...places]
      })
      return [key, all] as const
    })
    return { keys, actors: [...actors.keys()] }
  }

  put(key: string, op: string, place: Place): void {
    const said = this.#keys.get(key)
    if (said === undefined) this.#keys.set(key, new Map([[op, { op, place, replaced: [] }]]))
    else said.set(op, { op, place, replaced: [] })
  }

  replace(key: string, op: string, place: Place): void {
    this.#keys.get(key)?.get(op)?.replaced.push(place)
  }

  placeOf(key: string, op: string): Place | undefined {
    return this.#keys.get(key)?.get(op)?.place
  }

  /** The operations whose values somebody sees who knows so much, by counter, then actor. */
  visible(key: string, clock: Clock): readonly string[] {
    const seen: string[] = []
    for (const { op, place, replaced } of this.#keys.get(key)?.values() ?? [])
      if (knows(clock, place) && !replaced.some(by => knows(clock, by))) seen.push(op)
    return seen.toSorted(compareOps)
  }
}

/** `counter@actor`, as Automerge writes it. */
export function counterOf(op: string): number {
  return Number.parseInt(op, 10)
}

export function actorIn(op: string): string {
  return op.slice(op.indexOf('@') + 1)
}

function compareOps(a: string, b: string): number {
  return counterOf(a) - counterOf(b) || compareText(a, b)
}

function placesOf(numbers: readonly number[]): readonly Place[] {
  const places: Place[] = []
  for (let i = 0; i + 1 < numbers.length; i += 2) places.push({ chain: numbers[i] ?? -1, seq: numbers[i + 1] ?? -1 })
  return places
}
