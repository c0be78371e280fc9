import { RegistryError } from '../errors.ts'
import { fromUtf8 } from '../bytes.ts'
import { LIMITS } from '../limits.ts'

/** What JSON can hold, read and never trusted. */
export type JsonObject = { readonly [key: string]: unknown }

/**
 * The value of JSON in UTF-8 that every parser reads alike.
 *
 * Attack: `{"predicateType":"audit","predicateType":"star"}` is an audit to some readers and a star to others, and the signature
 * holds for both. So no object names a key twice, and none is nested deeper than the tools that show it can bear.
 * @throws RegistryError MALFORMED
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = fromUtf8(bytes)
  if (text === undefined) throw malformed('it is not UTF-8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'the bytes are not JSON', { cause })
  }
  const fault = structureFault(text)
  if (fault !== undefined) throw malformed(fault)
  return value
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Walks the structure of a text that is known to be JSON. */
function structureFault(text: string): string | undefined {
  /** The keys of each open object, and undefined for a list. */
  const open: (Set<string> | undefined)[] = []
  let keys: Set<string> | undefined
  let isKeyNext = false
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = endOfString(text, i)
        if (isKeyNext && keys !== undefined) {
          const key = keyIn(text.slice(i, end))
          if (keys.has(key)) return `a key is in one object twice: ${JSON.stringify(key.slice(0, 40))}`
          if (key === '__proto__') return 'a key is __proto__'
          keys.add(key)
          isKeyNext = false
        }
        i = end - 1
        break
      }
      case OPEN_OBJECT:
      case OPEN_LIST:
        keys = text.charCodeAt(i) === OPEN_OBJECT ? new Set() : undefined
        isKeyNext = keys !== undefined
        open.push(keys)
        if (open.length > LIMITS.attest.jsonDepth) return `it is nested deeper than ${LIMITS.attest.jsonDepth}`
        break
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        open.pop()
        keys = open.at(-1)
        break
      case COMMA:
        isKeyNext = keys !== undefined
    }
  }
  return undefined
}

function endOfString(text: string, start: number): number {
  let i = start + 1
  while (text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1
  return i + 1
}

function keyIn(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1)
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `JSON is not in a form that all read alike: ${what}`)
}
