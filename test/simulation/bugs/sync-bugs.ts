import { ItemSet } from '../../../protocol/sync/item-set.ts'
import { REAL_PARTS } from '../real-parts.ts'
import type { Parts } from '../parts.ts'
import { replaced } from './gate-bugs.ts'

/** What comes after the first page (here: of two ids) of a comparison is left for another time. */
export const firstPageOnly: Parts = {
  ...REAL_PARTS,
  name: 'stops after the first page',
  step: (state, event, sets) => {
    if (event.type !== 'sifted') return REAL_PARTS.step(state, event, sets)
    const own = [...state.sessions].map(([key, session]) => [key, { ...session, haves: [], next: undefined }] as const)
    return REAL_PARTS.step({ ...state, sessions: new Map(own) }, { ...event, ids: event.ids.slice(0, 2) }, sets)
  }
}

/** What was asked of a peer that left stays asked of it. */
export const forgetsAsked: Parts = {
  ...REAL_PARTS,
  name: 'never frees what was asked of a peer that left',
  step: (state, event, sets) => {
    const { state: after, effects } = REAL_PARTS.step(state, event, sets)
    if (event.type !== 'gone' && event.type !== 'broken') return { state: after, effects }
    return { state: { ...after, asked: new Map([...state.asked, ...after.asked]) }, effects }
  }
}

/** Old facts are not compared: who was away too long never gets them. */
export const recentOnly: Parts = {
  ...REAL_PARTS,
  name: 'leaves out facts below a time',
  step: (state, event, sets) =>
    REAL_PARTS.step(state, event, registry => {
      const set = sets(registry)
      const last = set === undefined || set.size === 0 ? undefined : set.itemAt(set.size - 1)
      if (set === undefined || last === undefined) return set
      const from = set.indexOf({ time: Math.max(0, last.time - 15_000), prefix: new Uint8Array(0) })
      return ItemSet.fromUnsorted(set.items(from, set.size))
    })
}

/** A peer that was here before is not compared with again. */
export const neverAgain: Parts = {
  ...REAL_PARTS,
  name: 'does not begin again on a reconnect',
  wrapDriver: driver => {
    const known = new Set<string>()
    return replaced(driver, {
      tell: event => {
        if (event.type === 'came') {
          if (known.has(event.peer)) return
          known.add(event.peer)
        }
        driver.tell(event)
      }
    })
  }
}
