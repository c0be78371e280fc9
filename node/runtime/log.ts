import { isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug' | 'trace'

/** What goes with a message. An `error` is written as its code, its words and those of its causes. */
export type LogFields = Readonly<Record<string, unknown>>

/** One JSON object per line. */
export interface Log {
  error(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
  trace(fields: LogFields, message: string): void
  isEnabled(level: LogLevel): boolean
  child(fields: LogFields): Log
}

export interface LogInit {
  readonly level: LogLevel
  /** Where lines go; standard error without it. */
  readonly write?: (line: string) => void
}

/** Names under which secrets travel in this program, at the top and one level down. */
const SECRETS = ['authorization', 'cookie', 'invite', 'passphrase', 'password', 'privateKey', 'psk', 'secret', 'token']

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const

/** A logger that writes at a level and above, and never what is called a secret. */
export async function openLog({ level, write }: LogInit): Promise<Log> {
  if (level === 'silent') return silentLog()
  // Lazy: most commands print their answer and log nothing.
  const { destination, pino } = await import('pino')
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRETS.flatMap(name => [name, `*.${name}`]), censor: '[redacted]' },
    serializers: { error: describeError }
  }
  // Synchronous: the last lines before a crash are the ones that somebody will want to read.
  const stream = write === undefined ? destination({ fd: 2, sync: true }) : { write }
  return wrap(pino(options, stream))
}

/** A logger that writes nothing. */
export function silentLog(): Log {
  const nothing = () => undefined
  const log: Log = {
    error: nothing,
    warn: nothing,
    info: nothing,
    debug: nothing,
    trace: nothing,
    isEnabled: () => false,
    child: () => log
  }
  return log
}

/** What of pino is used, so that a child can be wrapped like its parent. */
interface Underlying {
  isLevelEnabled(level: string): boolean
  child(bindings: Record<string, unknown>): Underlying
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
  debug(fields: object, message: string): void
  trace(fields: object, message: string): void
}

function wrap(logger: Underlying): Log {
  const at = (level: (typeof LEVELS)[number]) => (fields: LogFields, message: string) =>
    logger[level](fields, message.slice(0, LIMITS.log.messageChars))
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    trace: at('trace'),
    isEnabled: level => level !== 'silent' && logger.isLevelEnabled(level),
    child: fields => wrap(logger.child({ ...fields }))
  }
}

function describeError(error: unknown): unknown {
  const words: string[] = []
  for (let depth = 0, at = error; depth < 4 && at !== undefined; depth++) {
    words.push(messageOf(at).slice(0, LIMITS.log.messageChars))
    at = at instanceof Error ? at.cause : undefined
  }
  const [message = '', ...causes] = words
  return isRegistryError(error) ? { code: error.code, message, causes, detail: error.detail } : { message, causes }
}
