import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PROGRAM } from './program.ts'
import { COMPILE_CACHE, REPOSITORY } from './shared.ts'

const ZONE_SERVER = join(REPOSITORY, 'test', 'support', 'children', 'dns-server.ts')

/** One command of a manual with what it must print. */
export interface Step {
  readonly command: string
  readonly line: number
  /** Expected lines; `[..]` stands for any text within a line, a line `...` for any number of lines. */
  readonly output: readonly string[]
  /** From a last line `[exit 3]`; 0 without one. */
  readonly exit: number
}

/**
 * The steps of a manual: in each fenced `sh` block, a line `$ command` and below it what the command prints; when it
 * fails, standard error after standard output (else that is progress, which depends on the machine). Blocks of other
 * languages are for reading.
 */
export function parseManual(markdown: string): readonly Step[] {
  const steps: { command: string; line: number; output: string[] }[] = []
  let isTranscript = false
  for (const [index, line] of markdown.split('\n').entries()) {
    if (line.startsWith('```')) isTranscript = !isTranscript && line.trim() === '```sh'
    else if (isTranscript && line.startsWith('$ ')) steps.push({ command: line.slice(2), line: index + 1, output: [] })
    else if (isTranscript) steps.at(-1)?.output.push(line.trimEnd())
  }
  return steps.map(({ output, ...step }) => {
    const exit = /^\[exit ([0-9]+)\]$/.exec(output.at(-1) ?? '')?.[1]
    return { ...step, output: exit === undefined ? output : output.slice(0, -1), exit: Number(exit ?? '0') }
  })
}

/** Whether printed lines are the expected ones. */
export function matches(expected: readonly string[], printed: readonly string[]): boolean {
  const [first, ...rest] = expected
  if (first === undefined) return printed.length === 0
  if (first === '...') return printed.some((_, i) => matches(rest, printed.slice(i))) || rest.length === 0
  const [line, ...others] = printed
  return line !== undefined && patternOf(first).test(line) && matches(rest, others)
}

function patternOf(line: string): RegExp {
  const parts = line.split('[..]').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

export interface Ran {
  readonly lines: readonly string[]
  readonly exit: number
}

/** A folder in which the commands of one manual run, with `ggen-node` on the path and a data directory of its own. */
export async function manualShell(folder: string): Promise<(command: string) => Promise<Ran>> {
  const bin = join(folder, 'bin')
  const work = join(folder, 'work')
  await mkdir(bin)
  await mkdir(work)
  await symlink(join(REPOSITORY, 'examples'), join(work, 'examples'))
  const launcher = join(bin, 'ggen-node')
  await writeFile(launcher, `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`)
  await chmod(launcher, 0o755)
  // Stands in for the zone of a domain: nothing outside this machine is asked.
  const zone = join(bin, 'zone-server')
  await writeFile(zone, `#!/bin/sh\nexec "${process.execPath}" "${ZONE_SERVER}" "$@"\n`)
  await chmod(zone, 0o755)
  const env = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: folder,
    GGEN_NODE_HOME: join(folder, 'home'),
    GGEN_NODE_LISTEN: '/ip4/127.0.0.1/tcp/0',
    NO_COLOR: '1',
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    LC_ALL: 'C.UTF-8'
  }
  return command =>
    new Promise(resolve => {
      execFile(
        'bash',
        ['-c', `{ ${command}\n} 2>"$HOME/stderr"; code=$?; if [ $code != 0 ]; then cat "$HOME/stderr"; fi; exit $code`],
        { cwd: work, env, timeout: 60_000 },
        (error, stdout) => {
          const exit = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
          const text = stdout.replaceAll(folder, '[HOME]')
          resolve({
            exit,
            lines:
              text === ''
                ? []
                : text
                    .replace(/\n$/, '')
                    .split('\n')
                    .map(line => line.trimEnd())
          })
        }
      )
    })
}
