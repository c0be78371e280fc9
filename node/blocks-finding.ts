import type { ContentId } from '../protocol/cid.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { locate, verifiedStoreOf, wantLost } from './block-repair.ts'
import type { NodeParts } from './parts.ts'
import type { Finding } from './services/api.ts'
import { isLost } from './services/store/collect.ts'
import type { Space } from './spaces.ts'

/** What was found, and what became of it. */
interface Tally {
  blocks: number
  damaged: number
  /** Not whole since before. */
  lost: number
  forgotten: number
  /** Asked for again; without a running node those that the next one asks for. */
  coming: number
  /** Reading failed, and not because the bytes are wrong. */
  unread: number
  first: string
}

/**
 * Reads every block below what is kept, and verifies it. All of it, so that one repair afterwards mends all of it. What is damaged
 * is not said to be here from then on: a running node fetches it again now, any other when it starts. What no registry names and
 * nothing pins is forgotten, as nobody could say what it is.
 */
export async function blocksFinding(parts: NodeParts, signal: AbortSignal): Promise<Finding> {
  const check = 'blocks'
  const tally: Tally = { blocks: 0, damaged: 0, lost: 0, forgotten: 0, coming: 0, unread: 0, first: '' }
  for (const space of parts.spaces.all) await lookAt(parts, space, { tally, signal })
  const { blocks, damaged, lost, forgotten, coming, unread, first } = tally
  if (damaged + lost + unread === 0) return { check, ok: true, text: `${blocks} blocks read and verified` }
  const isRunning = parts.swarms.all.length > 0
  const left = damaged - forgotten - coming
  const said = [
    ...(damaged === 0 ? [] : [`${packages(damaged)} damaged, first ${first}`]),
    ...(coming === 0 ? [] : [`${coming} of them are ${isRunning ? 'fetched again' : 'to come again'}`]),
    ...(left === 0 ? [] : [`nobody is asked for ${left} of them now`]),
    ...(forgotten === 0 ? [] : [`${forgotten} of them are forgotten, as no registry here names them`]),
    ...(lost === 0 ? [] : [`${packages(lost)} not whole since before`]),
    ...(unread === 0 ? [] : [`${packages(unread)} not readable, first ${first}`])
  ]
  const next = isRunning
    ? 'ggen-node store verify asks peers for what is missing and says what they answer'
    : 'start the node: it fetches the content again from peers'
  return { check, ok: false, text: said.join('; '), next }
}

async function lookAt(
  parts: NodeParts,
  space: Space,
  { tally, signal }: { readonly tally: Tally; readonly signal: AbortSignal }
): Promise<void> {
  const { takedowns } = parts.spaces
  const broken: ContentId[] = []
  for await (const { root, whole } of space.keptEntries()) {
    // Nothing of it is expected to be here.
    if (takedowns.isTakenDown(root)) continue
    if (!whole) {
      tally.lost += 1
      continue
    }
    const error = await readAll(space, root, { tally, signal })
    // A collection may have let go of it meanwhile.
    if (error === undefined || !(await space.isKept(root))) continue
    if (tally.first === '') tally.first = `${root}: ${messageOf(error)}`
    if (isUnread(error)) tally.unread += 1
    else broken.push(root)
  }
  tally.damaged += broken.length
  if (broken.length === 0) return
  const named = await locate(parts, space, new Set(broken))
  for (const root of broken) {
    const isNamed = named.has(root)
    if (isNamed) await space.lostKept(root)
    else await space.forgetKept(root)
    if (!isNamed && (await space.keptEntry(root)) === undefined) tally.forgotten += 1
  }
  tally.coming += parts.swarms.all.length > 0 ? await wantLost(parts, space, named) : named.size
}

/** Undefined when all of it is here and is what it is called after. */
async function readAll(
  space: Space,
  root: ContentId,
  { tally, signal }: { readonly tally: Tally; readonly signal: AbortSignal }
): Promise<unknown> {
  const { blocks } = verifiedStoreOf(space)
  try {
    for await (const cid of blocks.list(root, signal)) {
      if ((await blocks.read(cid)) === undefined) return new Error(`block ${cid.toString()} is missing`)
      tally.blocks += 1
    }
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    // A block that somebody met before us was moved aside then, and is missing now.
    if (!isLost(error) && !isUnread(error)) throw error
    return error
  }
}

/** The system does not let us read it just now, which says nothing of its bytes. */
function isUnread(error: unknown): boolean {
  return isRegistryError(error) && error.code === 'UNKNOWN_FILE'
}

function packages(count: number): string {
  return `${count} ${count === 1 ? 'package' : 'packages'}`
}
