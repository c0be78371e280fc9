import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { parseContentId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { currentBoot } from '../storage/process-identity.ts'
import { isPackPath } from './project-state.ts'
import type { Journal } from './services/project/project.ts'

interface JournalJson {
  readonly format: 1
  /** Who wrote it last. */
  readonly nonce: string
  readonly boot: string
  readonly phase: 'placing' | 'syncing'
  readonly packs: readonly { readonly path: string; readonly cid: string }[]
}

/** The text of a journal, and a nonce to know it by. */
export function formatJournal(
  packs: Journal['packs'],
  phase: JournalJson['phase']
): { readonly text: string; readonly nonce: string } {
  const nonce = randomBytes(8).toString('hex')
  const json: JournalJson = { format: 1, nonce, boot: currentBoot(), phase, packs }
  return { text: `${JSON.stringify(json)}\n`, nonce }
}

/** What a journal file says; a file that is none of ours says nothing, because believing it could only allow more. */
export function parseJournal(text: string | undefined): Journal {
  const none: Journal = { packs: [], state: 'none', mayBeTorn: false }
  if (text === undefined) return none
  try {
    const { format, boot, phase, packs } = JSON.parse(text) as JournalJson
    if (format !== 1) return none
    const own = packs.filter(({ path }) => isPackPath(path)).slice(0, LIMITS.install.packages)
    const mayBeTorn = boot !== currentBoot()
    return {
      packs: own.map(({ path, cid }) => ({ path, cid: parseContentId(cid) })),
      state: phase === 'syncing' && !mayBeTorn ? 'syncing' : 'interrupted',
      mayBeTorn
    }
  } catch {
    return none
  }
}

/**
 * Takes a journal away if it is still the one with this nonce. Without the project's lock: a command that writes its own
 * journal between these two calls loses it, and misses it only if it is killed as well.
 */
export function dropJournal(file: string, nonce: string): void {
  try {
    const json = JSON.parse(readFileSync(file, 'utf8')) as Partial<JournalJson>
    if (json.nonce === nonce) rmSync(file)
  } catch {
    // It went with its project.
  }
}
