import { decodeCbor, encodeCbor } from './cbor.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'

/** How bytes came: from this disk, from a peer as a stream or over bitswap, from a gateway. */
export const TRACE_WAYS = ['disk', 'dag', 'bitswap', 'gateway'] as const
export type TraceWay = (typeof TRACE_WAYS)[number]

/** What one place gave of a content. */
export interface TraceSource {
  readonly way: TraceWay
  /** A peer id, or the address of a gateway; null for this disk, and for the rest of more than are told apart. */
  readonly from: string | null
  readonly blocks: number
  readonly bytes: number
}

/** What takes time, in the order in which it happens, and how many milliseconds it took; null for what did not happen. */
export const TRACE_STAGES = ['resolve', 'find', 'lookup', 'firstByte', 'transfer', 'store', 'flush', 'write'] as const
export type TraceStage = (typeof TRACE_STAGES)[number]
export type TraceTimes = Readonly<Record<TraceStage, number | null>>

/** How one content came here. */
export interface TraceRecord {
  /** When it ended, in milliseconds since 1970. */
  readonly time: number
  /** The code of the error that it ended with; null when all of it came. */
  readonly failed: string | null
  /** Most bytes first. */
  readonly sources: readonly TraceSource[]
  readonly times: TraceTimes
  /** Who else was asked, and what they said, for people; where it failed, all that was tried. */
  readonly tried: readonly string[]
}

export const NO_TIMES: TraceTimes = Object.freeze({
  resolve: null,
  find: null,
  lookup: null,
  firstByte: null,
  transfer: null,
  store: null,
  flush: null,
  write: null
})

/** `{failed, sources: [[way, from, blocks, bytes]], time, times: [milliseconds], tried: [text]}` in canonical CBOR, `tried` where there is any. */
export function encodeTrace({ time, failed, sources, times, tried }: TraceRecord): Uint8Array {
  const { lines, lineChars } = LIMITS.trace
  return encodeCbor({
    ...(tried.length > 0 && { tried: tried.slice(0, lines).map(line => line.slice(0, lineChars)) }),
    time,
    failed,
    sources: sources.map(({ way, from, blocks, bytes }) => [way, from, blocks, bytes]),
    times: TRACE_STAGES.map(stage => times[stage])
  })
}

/** @throws RegistryError MALFORMED */
export function decodeTrace(value: Uint8Array): TraceRecord {
  const { tried = [], ...rest } = mapOf(decodeCbor(value, 3))
  const { time, failed, sources, times } = recordOf(rest, ['failed', 'sources', 'time', 'times'])
  if (!areLines(tried)) throw malformed()
  if (!isCount(time) || !(failed === null || typeof failed === 'string')) throw malformed()
  if (!Array.isArray(sources) || sources.length > LIMITS.trace.sources + 1) throw malformed()
  if (!Array.isArray(times) || times.length !== TRACE_STAGES.length) throw malformed()
  const taken: readonly unknown[] = times
  const timeOf = (at: number): number | null => {
    const ms = taken[at]
    if (ms === null || isCount(ms)) return ms
    throw malformed()
  }
  const entries = TRACE_STAGES.map((stage, at): [TraceStage, number | null] => [stage, timeOf(at)])
  return { time, failed, sources: sources.map(sourceOf), times: { ...NO_TIMES, ...Object.fromEntries(entries) }, tried }
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed()
  return { ...value }
}

function areLines(value: unknown): value is readonly string[] {
  const { lines, lineChars } = LIMITS.trace
  const isLine = (line: unknown): boolean => typeof line === 'string' && line.length <= lineChars
  return Array.isArray(value) && value.length <= lines && value.every(isLine)
}

function sourceOf(value: unknown): TraceSource {
  if (!Array.isArray(value) || value.length !== 4) throw malformed()
  const fields: readonly unknown[] = value
  const [given, from, blocks, bytes] = fields
  const way = TRACE_WAYS.find(known => known === given)
  const isFrom = from === null || (typeof from === 'string' && from.length <= LIMITS.trace.fromChars)
  if (way === undefined || !isFrom || !isCount(blocks) || !isCount(bytes)) throw malformed()
  return { way, from, blocks, bytes }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'not the record of a fetch')
}
