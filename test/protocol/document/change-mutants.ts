import * as A from '@automerge/automerge'
import { expect } from 'vitest'
import { scanChange, type ScannedChange } from '../../../protocol/document/change.ts'
import { DOCUMENT_LIMITS } from '../../../protocol/document/limits.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { cpuMs } from '../../support/cpu-time.ts'
import { id, listOfNulls } from '../../support/raw-change.ts'

/** One operation as Automerge takes it. */
export interface PlainOp {
  readonly key: string
  readonly value?: string | true | undefined
  readonly pred?: readonly string[]
}

/** Where a change stands. */
export interface Position {
  readonly actor?: string
  readonly seq?: number
  readonly startOp?: number
  readonly deps?: readonly string[]
}

/** A change that Automerge writes of plain operations on the root. */
export function encodeOps(plain: readonly PlainOp[], position: Position = {}): Uint8Array {
  const ops = plain.map(({ key, value, pred = [] }) => ({
    ...(value === undefined ? { action: 'del' } : { action: 'set', value }),
    obj: '_root',
    key,
    pred
  }))
  return encode({ ops, ...position })
}

/** A change that Automerge writes of anything. Its types know less than it takes, so they are told nothing here. */
export function encode(change: Readonly<Record<string, unknown>>): Uint8Array {
  const whole = { actor: id(0xaa), seq: 1, startOp: 1, time: 0, message: null, deps: [], ...change }
  return A.encodeChange(whole as unknown as A.DecodedChange)
}

/** What a scan of a flat change must say, in the words of Automerge. */
export function asAutomergeSays(bytes: Uint8Array): ScannedChange {
  const { hash, actor, seq, startOp, deps, ops, time, message } = A.decodeChange(bytes)
  expect({ time, message }).toEqual({ time: 0, message: null })
  return { hash, actor, seq, startOp, deps, ops: ops.map(toScanned) }
}

function toScanned(op: A.DecodedChange['ops'][number]): ScannedChange['ops'][number] {
  const { action, obj, key, value } = op as { action: string; obj: string; key: string; value?: unknown }
  expect(obj).toBe('_root')
  expect(['set', 'del']).toContain(action)
  if (action === 'del') return { key, value: undefined }
  if (typeof value !== 'string' && value !== true) throw new Error(`a value of type ${typeof value} passed the scan`)
  return { key, value }
}

/** A change that uses every column, and has runs, literals and steps back in them. */
export function goodChange(): Uint8Array {
  const [b, c] = [id(0xbb), id(0x0c)]
  return encodeOps(
    [
      { key: 'title', value: 'Hello', pred: [`3@${b}`, `3@${c}`, `4@${id(0xaa)}`] },
      { key: 'keywords/web', value: true },
      { key: 'keywords/wéb', value: true },
      { key: 'description', value: 'Hello', pred: [`1@${b}`] },
      { key: 'links/home', value: 'Hello', pred: [`2@${b}`, `2@${c}`] },
      { key: 'keywords/old', pred: [`9@${c}`] },
      { key: 'keywords/older', pred: [`8@${c}`] },
      { key: 'empty', value: '' }
    ],
    { seq: 3, startOp: 300, deps: [id(1), id(2)] }
  )
}

/** A list of a million nulls in 120 bytes. */
export const opBomb = (): Uint8Array => listOfNulls(1_000_000)

/** Many strings in one change, below the longest that a change may be. */
export function stringBomb(): Uint8Array {
  const doc = A.change(A.init<{ list: string[] }>({ actor: id(0xbb) }), { time: 0 }, draft => {
    draft.list = Array.from({ length: 1_000 }, () => 'x')
  })
  return lastChange(doc)
}

export function lastChange(doc: A.Doc<unknown>): Uint8Array {
  const change = A.getLastLocalChange(doc)
  if (change === undefined) throw new Error('nothing was changed')
  return change
}

/** How long a scan may take. It takes well under a millisecond. */
const SLOW_MS = 500

/**
 * Scans bytes that somebody made up: they are refused with an error of ours, or say what Automerge says they say, in the
 * bytes that Automerge would write. Says which.
 */
export function scanMutant(bytes: Uint8Array): 'refused' | 'taken' {
  let scanned: ScannedChange | undefined
  if (cpuMs(() => (scanned = scanOrRefuse(bytes))) > SLOW_MS)
    throw new Error(`slow: ${Buffer.from(bytes).toString('hex')}`)
  if (scanned === undefined) return 'refused'
  if (scanned.ops.length > DOCUMENT_LIMITS.edits) throw new Error('more operations than the limit')
  expect(scanned).toEqual(asAutomergeSays(bytes))
  expect(Buffer.from(A.encodeChange(A.decodeChange(bytes)))).toEqual(Buffer.from(bytes))
  return 'taken'
}

function scanOrRefuse(bytes: Uint8Array): ScannedChange | undefined {
  try {
    return scanChange(bytes)
  } catch (error) {
    if (error instanceof RegistryError && (error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED'))
      return undefined
    throw error
  }
}
