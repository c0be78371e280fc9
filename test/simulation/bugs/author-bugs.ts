import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { REAL_PARTS } from '../real-parts.ts'
import type { Parts } from '../parts.ts'
import { replaced } from './gate-bugs.ts'

/** After a restart the author goes on from positions that were noted now and then, not from the store. */
export const positionFromMemory: Parts = {
  ...REAL_PARTS,
  name: 'takes its next position from memory after a crash',
  createAuthor: (components, home) => {
    const { gate } = components
    const noted = (home.kept.get('noted') ?? new Map()) as Map<Subject, readonly VerifiedFact[]>
    const isRestart = home.kept.has('noted')
    home.kept.set('noted', noted)
    const fresh = new Set<Subject>()
    const state = (registry: RegistryId): ReturnType<typeof gate.state> => {
      const real = gate.state(registry)
      if (real === undefined) return undefined
      const known: typeof real.known = async subject => {
        const now = await real.known(subject)
        const before = noted.get(subject)
        // Every third position is noted; the first look after a restart believes the note.
        if (isRestart && before !== undefined && !fresh.has(subject)) {
          fresh.add(subject)
          return { ...now, set: before }
        }
        fresh.add(subject)
        if (now.set.length % 3 === 0) noted.set(subject, now.set)
        return now
      }
      return replaced(real, { known })
    }
    return REAL_PARTS.createAuthor({ ...components, gate: replaced(gate, { state }) }, home)
  }
}

/** A backup brings its chain along. */
export const chainInBackup: Parts = {
  ...REAL_PARTS,
  name: 'copies the chain with a backup',
  chainOfCopy: chain => chain
}
