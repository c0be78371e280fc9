import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** Reads the fields of one record of a file, each with its bound. All throw RegistryError MALFORMED | LIMIT_EXCEEDED. */
export interface RecordFields {
  readonly index: (value: unknown) => number
  readonly text: (value: unknown, chars: number) => string
  readonly binary: (value: unknown, bytes?: number) => Uint8Array
  readonly list: (value: unknown, entries: number) => readonly unknown[]
  readonly malformed: (what: string) => RegistryError
}

/** @param file what people call a file of that kind */
export function recordFields(file: string): RecordFields {
  const malformed = (what: string): RegistryError =>
    new RegistryError('MALFORMED', `a record of the ${file} does not have its shape: ${what}`)
  const tooLong = (what: string, most: number, unit: string): RegistryError =>
    new RegistryError('LIMIT_EXCEEDED', `a ${what} of a ${file} has more than ${most} ${unit}`)
  return {
    malformed,
    index(value) {
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed('number')
      return value
    },
    text(value, chars) {
      if (typeof value !== 'string') throw malformed('text')
      if (value.length > chars) throw tooLong('text', chars, 'characters')
      return value
    },
    binary(value, bytes = LIMITS.fact.envelopeBytes) {
      if (!(value instanceof Uint8Array)) throw malformed('bytes')
      if (value.length > bytes) throw tooLong('field', bytes, 'bytes')
      return value
    },
    list(value, entries) {
      if (!Array.isArray(value)) throw malformed('list')
      if (value.length > entries) throw tooLong('list', entries, 'entries')
      return value as readonly unknown[]
    }
  }
}
