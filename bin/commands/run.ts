import type { Command } from 'commander'
import { RegistryError } from '../../protocol/errors.ts'
import type { NodeClient, Progress } from '../../node/services/api.ts'
import { printError } from './print.ts'
import { ProgressLine } from './progress.ts'
import type { Voice } from './print.ts'

/** What every action gets: how to speak, which data directory, and a signal that Ctrl-C fires. */
export interface Session extends Voice {
  readonly home: string | undefined
  readonly signal: AbortSignal
}

/** What the person typed after the command. */
export interface Typed {
  /** Arguments in their order; a variadic one is spread. */
  readonly args: readonly string[]
  readonly options: Options
}

/** Options of a command by their camel-case names. */
export type Options = Readonly<Record<string, unknown>>

/** Wraps an action: options in, errors out as text and exit code, never a stack trace. */
export function action(
  run: (session: Session, typed: Typed) => Promise<void>
): (...all: readonly unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command
    const globals = command.optsWithGlobals<{ json?: true; home?: string }>()
    const abort = new AbortController()
    const interrupt = (): void => abort.abort(new RegistryError('CANCELLED', 'interrupted'))
    process.once('SIGINT', interrupt)
    process.once('SIGTERM', interrupt)
    const voice = { json: globals.json === true }
    try {
      const args = command.processedArgs.flat().filter((arg): arg is string => typeof arg === 'string')
      await run({ ...voice, home: globals.home, signal: abort.signal }, { args, options: command.opts() })
    } catch (error) {
      process.exitCode = printError(error, voice)
    } finally {
      process.off('SIGINT', interrupt)
      process.off('SIGTERM', interrupt)
    }
  }
}

/** The argument at a place; commander has made sure that required ones are there. */
export function argument(args: readonly string[], index: number): string {
  const value = args[index]
  if (value === undefined) throw new RegistryError('USAGE', 'an argument is missing')
  return value
}

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

export function listOption(options: Options, name: string): readonly string[] {
  const value = options[name]
  return Array.isArray(value) ? value.map(String) : []
}

/** Runs against the daemon of the data directory, or against a node that lives as long as the command. */
export async function withNode<T>(
  session: Session,
  { network, create = false }: { network: boolean; create?: boolean },
  use: (client: NodeClient) => Promise<T>
): Promise<T> {
  const { openClient } = await import('../../node/open-client.ts')
  const opened = await openClient({ home: session.home, network, create, signal: session.signal })
  try {
    return await use(opened.client)
  } finally {
    await opened.close()
  }
}

/** Runs something long with its progress on standard error, and leaves an empty line there. */
export async function withProgress<T>(
  session: Session,
  run: (onProgress: (at: Progress) => void) => Promise<T>
): Promise<T> {
  const line = new ProgressLine(session)
  try {
    return await run(line.onProgress)
  } finally {
    line.end()
  }
}
