import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Log } from './log.ts'

/** The logger that libp2p and Helia parts ask for (`@libp2p/interface` and `birnam` agree on this shape). */
export interface ComponentLogger {
  forComponent(name: string): ComponentLog
}

export interface ComponentLog {
  (formatter: unknown, ...args: readonly unknown[]): void
  error(formatter: unknown, ...args: readonly unknown[]): void
  trace(formatter: unknown, ...args: readonly unknown[]): void
  enabled: boolean
  newScope(name: string): ComponentLog
}

/**
 * The libraries' log lines, in ours. Their errors become `debug`: to them a peer that hangs up is an error, and a
 * stranger who can fill the operator's log can hide in it.
 */
export function componentLogger(log: Log): ComponentLogger {
  return { forComponent: name => scoped(log, name) }
}

function scoped(log: Log, component: string): ComponentLog {
  const line =
    (level: 'debug' | 'trace') =>
    (formatter: unknown, ...args: readonly unknown[]) => {
      if (log.isEnabled(level)) log[level]({ component }, formatLine(formatter, args))
    }
  return Object.assign(line('debug'), {
    error: line('debug'),
    trace: line('trace'),
    enabled: log.isEnabled('debug'),
    newScope: (name: string) => scoped(log, `${component}:${name}`)
  })
}

/** Fills `%s`, `%d`, `%p`, `%e` and the like in order; what is left over is appended. */
function formatLine(formatter: unknown, args: readonly unknown[]): string {
  const left = [...args]
  const text = describe(formatter).replace(/%([a-zA-Z%])/g, (placeholder, letter: string) => {
    if (letter === '%') return '%'
    return left.length === 0 ? placeholder : describe(left.shift())
  })
  return [text, ...left.map(describe)].join(' ').slice(0, LIMITS.log.messageChars)
}

function describe(value: unknown): string {
  if (typeof value === 'string') return value.slice(0, LIMITS.log.messageChars)
  return text(value).slice(0, LIMITS.log.argumentChars)
}

/** Library objects have a `toString` of their own (peer ids, CIDs, addresses); plain ones are written as JSON. */
function text(value: unknown): string {
  try {
    if (value instanceof Error) return messageOf(value)
    if (value instanceof Uint8Array) return `${value.length} bytes`
    if (typeof value === 'object' && value !== null && value.toString === Object.prototype.toString) {
      return JSON.stringify(value) ?? 'undefined'
    }
    return String(value)
  } catch {
    // A log line must not throw into the library that wrote it.
    return '[unprintable]'
  }
}
