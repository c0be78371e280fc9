import { createHash } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { concatBytes, fromHex, toHex } from '../../protocol/bytes.ts'

/** The parts of an Automerge change, each of which may be wrong. Numbers that are bytes already are written as they are. */
export interface RawChange {
  readonly deps?: readonly string[]
  readonly actor?: string
  readonly seq?: number | readonly number[]
  readonly startOp?: number | readonly number[]
  readonly time?: number
  readonly message?: string
  readonly others?: readonly string[]
  readonly columns?: Readonly<Record<number, readonly number[]>>
  /** In place of the ascending order of the ids. */
  readonly order?: readonly number[]
  readonly extra?: readonly number[]
}

/** A hash or an actor that is one byte again and again. */
export const id = (byte: number): string => toHex(new Uint8Array(32).fill(byte))

export const text = (value: string): readonly number[] => [...new TextEncoder().encode(value)]

export function uleb(value: number): readonly number[] {
  const out: number[] = []
  let rest = BigInt(value)
  do {
    const bits = Number(rest & 0x7fn)
    rest >>= 7n
    out.push(rest === 0n ? bits : bits | 0x80)
  } while (rest > 0n)
  return out
}

export function sleb(value: number): readonly number[] {
  const out: number[] = []
  let rest = BigInt(value)
  for (;;) {
    const bits = Number(BigInt.asUintN(7, rest))
    rest >>= 7n
    if (rest === (bits >= 0x40 ? -1n : 0n)) return [...out, bits]
    out.push(bits | 0x80)
  }
}

/** The columns of one put of the text `x` at `t`. */
export const PUT: Readonly<Record<number, readonly number[]>> = {
  0x15: [0x7f, 1, ...text('t')],
  0x34: [1],
  0x42: [0x7f, 1],
  0x56: [0x7f, 0x16],
  0x57: text('x'),
  0x70: [0x7f, 0]
}

export function rawChange(change: RawChange = {}): Uint8Array {
  const {
    deps = [],
    actor = id(0xaa),
    seq = 1,
    startOp = 1,
    time = 0,
    message = '',
    others = [],
    columns = PUT
  } = change
  const { extra = [], order = Object.keys(columns).map(Number) } = change
  const number = (value: number | readonly number[]) => (typeof value === 'number' ? uleb(value) : value)
  const column = (kind: number) => columns[kind] ?? []
  const contents = [
    uleb(deps.length),
    ...deps.map(hexBytes),
    withLength(hexBytes(actor)),
    number(seq),
    number(startOp),
    sleb(time),
    withLength(text(message)),
    uleb(others.length),
    ...others.map(one => withLength(hexBytes(one))),
    uleb(order.length),
    ...order.map(kind => [...uleb(kind), ...uleb(column(kind).length)]),
    ...order.map(column),
    extra
  ].flat()
  return chunk(1, Uint8Array.from(contents))
}

/** A chunk with the right checksum, whatever is in it. */
export function chunk(type: number, contents: Uint8Array): Uint8Array {
  return sealed(Uint8Array.from([0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, type, ...uleb(contents.length), ...contents]))
}

/** The same change as Automerge sends it where it is big: deflated. */
export function deflated(change: Uint8Array): Uint8Array {
  return chunk(2, deflateRawSync(contentsOf(change)))
}

/** The bytes behind the length. */
export function contentsOf(change: Uint8Array): Uint8Array {
  let start = 9
  while ((change[start] ?? 0) >= 0x80) start += 1
  return change.subarray(start + 1)
}

/** The bytes with a checksum that fits them: a sender of nonsense takes that trouble too. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const hash = createHash('sha256').update(bytes.subarray(8)).digest()
  return concatBytes([bytes.subarray(0, 4), hash.subarray(0, 4), bytes.subarray(8)])
}

/** What Automerge writes for a list of so many nulls: hardly longer for a million than for ten. */
export function listOfNulls(count: number): Uint8Array {
  const [n, more, less] = [sleb(count), sleb(count + 1), sleb(count - 1)]
  return rawChange({
    columns: {
      0x01: [0, 1, ...n, 0],
      0x02: [0, 1, ...n, 1],
      0x11: [0, 2, ...less, 0],
      0x13: [0, 1, 0x7e, 0, 2, ...sleb(count - 2), 1],
      0x15: [0x7f, 1, ...text('l'), 0, ...uleb(count)],
      0x34: [1, ...uleb(count)],
      0x42: [0x7f, 2, ...n, 1],
      0x56: [...more, 0],
      0x70: [...more, 0]
    }
  })
}

function withLength(bytes: readonly number[]): readonly number[] {
  return [...uleb(bytes.length), ...bytes]
}

function hexBytes(hex: string): readonly number[] {
  const bytes = fromHex(hex)
  if (bytes === undefined) throw new Error('no hex')
  return [...bytes]
}
