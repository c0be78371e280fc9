import type { ContentId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { decodeTrace, encodeTrace, NO_TIMES } from '../protocol/trace-record.ts'
import type { TraceRecord } from '../protocol/trace-record.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** How contents of one block store came here: the last few. */
export interface Traces {
  readonly traceOf: (root: ContentId) => Promise<TraceRecord | undefined>
  /** The fetch of a content ended. */
  readonly putTrace: (root: ContentId, record: TraceRecord) => Promise<void>
  /** The same of many that came together, in one write. */
  readonly putTraces: (records: ReadonlyMap<ContentId, TraceRecord>) => Promise<void>
  /** Contents of which fetches are remembered were written into a project, and how many milliseconds each took. */
  readonly placedTraces: (times: ReadonlyMap<ContentId, number>) => Promise<void>
  /** All of them: the swarm is left. */
  readonly forgetTraces: () => Promise<void>
}

/**
 * The records of one block store, the oldest forgotten when there are too many:
 *
 *   <prefix><content root> -> protocol/trace-record.ts
 *
 * A crash loses the last of them: nothing depends on any.
 */
export function traceRecords(kv: KeyValue, prefix: string): Traces {
  const keyOf = (root: ContentId): string => `${prefix}${root}`
  /** When each was written, the oldest first; read with the first that is written. */
  let times: Map<ContentId, number> | undefined
  let last: Promise<unknown> = Promise.resolve()
  // One change after the other: each is made of what the one before it left.
  const change = <T>(task: () => Promise<T>): Promise<T> => {
    const run = last.then(task, task)
    last = run.catch(() => undefined)
    return run
  }
  const read = async (root: ContentId): Promise<TraceRecord | undefined> => {
    const value = await kv.get(keyOf(root))
    return value === undefined ? undefined : soundOf(value)
  }
  const all = async (): Promise<Map<ContentId, number>> => {
    const found: [ContentId, number][] = []
    for await (const [key, value] of kv.iterate({ gte: prefix, lt: `${prefix}~` }))
      found.push([key.slice(prefix.length) as ContentId, soundOf(value)?.time ?? 0])
    return new Map(found.toSorted(([, a], [, b]) => a - b))
  }
  const write = async (records: ReadonlyMap<ContentId, TraceRecord>): Promise<void> => {
    if (records.size === 0) return
    times ??= await all()
    for (const [root, { time }] of records) {
      times.delete(root)
      times.set(root, time)
    }
    const old = [...times.keys()].slice(0, Math.max(0, times.size - LIMITS.trace.roots))
    const news = [...records].map(([root, record]): KeyValueOp => ({
      type: 'put',
      key: keyOf(root),
      value: encodeTrace(record)
    }))
    const ops = [...news, ...old.map((each): KeyValueOp => ({ type: 'del', key: keyOf(each) }))]
    for (let from = 0; from < ops.length; from += LIMITS.admission.keysPerWrite) {
      await kv.batch(ops.slice(from, from + LIMITS.admission.keysPerWrite))
    }
    for (const each of old) times.delete(each)
  }
  const put = async (records: ReadonlyMap<ContentId, TraceRecord>): Promise<void> => {
    const before = await Promise.all([...records.keys()].map(read))
    await write(new Map([...records].filter(([, record], i) => isNews(record) || before[i] === undefined)))
  }
  return {
    traceOf: read,
    putTrace: (root, record) => change(() => put(new Map([[root, record]]))),
    putTraces: records => change(() => put(records)),
    placedTraces: placed =>
      change(async () => {
        const before = await Promise.all([...placed.keys()].map(read))
        const after = new Map<ContentId, TraceRecord>()
        for (const [i, [root, ms]] of [...placed].entries()) {
          const record = before[i]
          if (record !== undefined) after.set(root, { ...record, times: { ...NO_TIMES, ...record.times, write: ms } })
        }
        await write(after)
      }),
    forgetTraces: () =>
      change(async () => {
        const roots = [...(await all()).keys()]
        await kv.batch(
          roots.map((root): KeyValueOp => ({ type: 'del', key: keyOf(root) })),
          { sync: true }
        )
        times = undefined
      })
  }
}

/** Of one of which nothing was missing, how it came here is what the record before says. */
function isNews({ failed, sources }: TraceRecord): boolean {
  return failed !== null || sources.some(({ way }) => way !== 'disk')
}

/** What cannot be read is as good as forgotten: it is about the past, and nothing is decided by it. */
function soundOf(value: Uint8Array): TraceRecord | undefined {
  try {
    return decodeTrace(value)
  } catch {
    return undefined
  }
}
