import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import type { ContentId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** One content root that is there as a whole, or that was and is to come back. */
export interface KeptRoot {
  readonly root: ContentId
  /** False for one that lost a block and is pinned, or is about to be fetched again. */
  readonly whole: boolean
  /**
   * When somebody last needed it, in milliseconds since 1970, to within `LIMITS.store.usedEveryMs`; 0 when nobody knows. Of one
   * that is not whole: when that was found, or it was needed since.
   */
  readonly used: number
  /** It stays whatever else is pinned: it was published here, came out of a backup, or was here before there were pins. */
  readonly pinned: boolean
}

/** Content roots of one block store that are there as a whole: the one list, for whoever fetches, installs, serves or collects. */
export interface KeptRoots {
  readonly isKept: (root: ContentId) => Promise<boolean>
  /** Every block below it is here and durable. What was pinned stays so. */
  readonly markKept: (root: ContentId, options?: { readonly pinned?: boolean }) => Promise<void>
  /** The same of many, in one write: `markKept` of each. */
  readonly markAllKept: (roots: readonly ContentId[]) => Promise<void>
  /** A block below it turned out to be damaged or missing. That it is pinned is remembered: what is left of it stays. */
  readonly forgetKept: (root: ContentId) => Promise<void>
  /** The same of one that is fetched again now: pinned or not, it is remembered, and no tidying takes away what is left of it. */
  readonly lostKept: (root: ContentId) => Promise<void>
  readonly keptEntry: (root: ContentId) => Promise<Omit<KeptRoot, 'root'> | undefined>
  readonly kept: () => AsyncIterable<ContentId>
  /** With those that are not whole. */
  readonly keptEntries: () => AsyncIterable<KeptRoot>
  /** Somebody needed it just now, or would if it were here. */
  readonly touchKept: (root: ContentId) => Promise<void>
  /** Whether it was pinned until now. */
  readonly unpinKept: (root: ContentId) => Promise<boolean>
  /**
   * Forgets many, durably before it returns: the blocks below them may be deleted from then on. The other way round, a crash
   * would leave a record that says of half a package that all of it is here.
   *
   * @param isFree looks at each record once more, when nobody can change it: whoever chose the roots did so some time ago, and
   *   one may have been published or fetched since. Without it all of them go.
   * @returns those that went
   */
  readonly letGo: (roots: readonly ContentId[], isFree?: (kept: KeptRoot) => boolean) => Promise<readonly ContentId[]>
}

/**
 * The records of one block store:
 *
 *   <prefix><content root> -> {pinned, used, whole}; empty in records from before there were pins, which are pinned
 */
export function keptRoots(kv: KeyValue, prefix: string, now: () => number): KeptRoots {
  const keyOf = (root: ContentId): string => `${prefix}${root}`
  // One change after the other: each is made of what the one before it left.
  let last: Promise<unknown> = Promise.resolve()
  const change = <T>(task: () => Promise<T>): Promise<T> => {
    const run = last.then(task, task)
    last = run.catch(() => undefined)
    return run
  }
  const read = async (root: ContentId): Promise<Omit<KeptRoot, 'root'> | undefined> => {
    const value = await kv.get(keyOf(root))
    return value === undefined ? undefined : decodeKept(value)
  }
  const write = (root: ContentId, record: Omit<KeptRoot, 'root'>): Promise<void> =>
    kv.batch([{ type: 'put', key: keyOf(root), value: encodeCbor({ ...record }) }])
  const mark = async (roots: readonly ContentId[], pinned: boolean): Promise<void> => {
    const before = pinned ? [] : await Promise.all(roots.map(read))
    const ops = roots.map((root, i): KeyValueOp => {
      const record = { pinned: pinned || before[i]?.pinned === true, used: now(), whole: true }
      return { type: 'put', key: keyOf(root), value: encodeCbor(record) }
    })
    await inWrites(ops, some => kv.batch(some))
  }
  const remove = (root: ContentId): Promise<void> => kv.batch([{ type: 'del', key: keyOf(root) }])
  const lose = (root: ContentId, isRemembered: boolean): Promise<void> =>
    change(async () => {
      const before = await read(root)
      if (before !== undefined) await (isRemembered || before.pinned ? write(root, lost(before, now())) : remove(root))
    })
  async function* keptEntries(): AsyncGenerator<KeptRoot> {
    for await (const [key, value] of kv.iterate({ gte: prefix, lt: `${prefix}~` })) {
      yield { root: key.slice(prefix.length) as ContentId, ...decodeKept(value) }
    }
  }
  return {
    isKept: async root => (await read(root))?.whole === true,
    markKept: (root, { pinned = false } = {}) => change(() => mark([root], pinned)),
    markAllKept: roots => change(() => mark(roots, false)),
    forgetKept: root => lose(root, false),
    lostKept: root => lose(root, true),
    keptEntry: read,
    async *kept() {
      for await (const { root, whole } of keptEntries()) if (whole) yield root
    },
    keptEntries,
    touchKept: root =>
      change(async () => {
        const before = await read(root)
        const isDue = before !== undefined && Math.abs(now() - before.used) >= LIMITS.store.usedEveryMs
        if (isDue) await write(root, { ...before, used: now() })
      }),
    unpinKept: root =>
      change(async () => {
        const before = await read(root)
        if (before?.pinned !== true) return false
        if (before.whole) await write(root, { ...before, pinned: false })
        else await remove(root)
        return true
      }),
    letGo: (roots, isFree) =>
      change(async () => {
        const free = isFree === undefined ? roots : await freeOf(roots, { read, isFree })
        const ops = free.map((root): KeyValueOp => ({ type: 'del', key: keyOf(root) }))
        await inWrites(ops, some => kv.batch(some, { sync: true }))
        return free
      })
  }
}

async function inWrites(
  ops: readonly KeyValueOp[],
  write: (ops: readonly KeyValueOp[]) => Promise<void>
): Promise<void> {
  const { keysPerWrite } = LIMITS.admission
  for (let from = 0; from < ops.length; from += keysPerWrite) await write(ops.slice(from, from + keysPerWrite))
}

interface Freeing {
  readonly read: KeptRoots['keptEntry']
  readonly isFree: (kept: KeptRoot) => boolean
}

async function freeOf(roots: readonly ContentId[], { read, isFree }: Freeing): Promise<readonly ContentId[]> {
  const entries: KeptRoot[] = []
  for (const root of roots) {
    const record = await read(root)
    if (record !== undefined) entries.push({ root, ...record })
  }
  // After the last of them was read: nothing comes between the answer and the write.
  return entries.filter(isFree).map(({ root }) => root)
}

function lost(before: Omit<KeptRoot, 'root'>, now: number): Omit<KeptRoot, 'root'> {
  return { ...before, used: before.whole ? now : before.used, whole: false }
}

/** A record that cannot be read pins its root: what is there too long costs room, what is deleted may be gone for good. */
function decodeKept(value: Uint8Array): Omit<KeptRoot, 'root'> {
  const unknown = { used: 0, pinned: true, whole: true }
  if (value.length === 0) return unknown
  try {
    const { pinned, used, whole } = recordOf(decodeCbor(value, 1), ['pinned', 'used', 'whole'])
    const isSound = typeof pinned === 'boolean' && typeof used === 'number' && typeof whole === 'boolean'
    return isSound ? { pinned, used, whole } : unknown
  } catch (error) {
    if (isRegistryError(error)) return unknown
    throw error
  }
}
