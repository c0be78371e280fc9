import { ERROR_CODES, RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Progress } from '../services/api.ts'

/** One line of the answer to a local call: any number of `progress`, then one `result` or `error`. */
export type LocalLine = { readonly progress: Progress } | { readonly result: unknown } | { readonly error: LocalError }

export interface LocalError {
  readonly code: ErrorCode
  readonly message: string
  readonly tried: readonly string[]
  readonly verdicts?: readonly object[]
  readonly next?: string
  readonly detail: Readonly<Record<string, string | number>>
}

/** An error as it crosses the socket. Faults of our own keep their message and lose their stack. */
export function toLocalError(error: unknown): LocalError {
  if (!isRegistryError(error)) return { code: 'INTERNAL', message: messageOf(error), tried: [], detail: {} }
  const { code, message, tried, verdicts, next, detail } = error
  const more = { ...(verdicts.length === 0 ? {} : { verdicts }), ...(next === undefined ? {} : { next }) }
  return { code, message, tried, detail, ...more }
}

export function fromLocalError({ code, message, tried, verdicts = [], next, detail }: LocalError): RegistryError {
  const known = Object.hasOwn(ERROR_CODES, code) ? code : 'INTERNAL'
  return new RegistryError(known, message, { tried, verdicts, detail, ...(next === undefined ? {} : { next }) })
}
