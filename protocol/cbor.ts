import * as dagCbor from '@ipld/dag-cbor'
import { equalBytes } from './bytes.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/**
 * Deterministic dag-cbor (IPLD dag-cbor specification, strictness section): map keys sorted by length then bytes,
 * shortest integers, no floats here, no undefined.
 */
export function encodeCbor(value: unknown): Uint8Array {
  return dagCbor.encode(value)
}

/**
 * The value of bytes that are the one spelling of it, at most `depth` deep and with at most `items` heads of items.
 * @throws RegistryError MALFORMED
 */
export function decodeCbor(bytes: Uint8Array, depth: number, items: number = LIMITS.fact.cborItems): unknown {
  // Attack: 64 KiB of nested arrays is a call stack 65,536 deep in any recursive decoder, and 1 MiB of empty ones is a
  // million objects: 0.8 s in which nothing else is done.
  if (!isShallow(bytes, depth, items))
    throw new RegistryError('MALFORMED', 'cbor is nested too deeply, has too many items or is cut short')
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
    // One spelling per value: long integers, unsorted or doubled keys, indefinite lengths all fail here.
    if (equalBytes(dagCbor.encode(value), bytes)) return value
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'bytes are not dag-cbor', { cause })
  }
  throw new RegistryError('MALFORMED', 'cbor is not in its one canonical spelling')
}

/** Walks the heads of the items without building anything: one pass, constant memory per level. */
function isShallow(bytes: Uint8Array, maxDepth: number, maxItems: number): boolean {
  const open: number[] = []
  let offset = 0
  let remaining = 1
  let items = 0
  for (;;) {
    while (remaining === 0) {
      const outer = open.pop()
      if (outer === undefined) return offset === bytes.length
      remaining = outer
    }
    const head = readHead(bytes, offset)
    items += 1
    if (head === undefined || items > maxItems) return false
    offset = head.next
    remaining -= 1
    if (head.children > 0) {
      if (open.length >= maxDepth || head.children > bytes.length - offset) return false
      open.push(remaining)
      remaining = head.children
    }
  }
}

interface Head {
  readonly next: number
  readonly children: number
}

function readHead(bytes: Uint8Array, offset: number): Head | undefined {
  const first = bytes[offset]
  if (first === undefined) return undefined
  const major = first >> 5
  const info = first & 31
  if (info > 27) return undefined
  const width = info < 24 ? 0 : 2 ** (info - 24)
  if (offset + 1 + width > bytes.length) return undefined
  let value = info < 24 ? info : 0
  for (let i = 1; i <= width; i++) value = value * 256 + (bytes[offset + i] ?? 0)
  const next = offset + 1 + width
  switch (major) {
    case 2:
    case 3:
      return next + value > bytes.length ? undefined : { next: next + value, children: 0 }
    case 4:
      return { next, children: value }
    case 5:
      return { next, children: value * 2 }
    case 6:
      return { next, children: 1 }
    default:
      return { next, children: 0 }
  }
}
