import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { packageFolder } from '../support/package-folder.ts'
import { PROGRAM } from '../support/program.ts'
import { REPOSITORY } from '../support/shared.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const SLOW = 120_000

const found = (shell: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map(folder => join(folder, shell))
    .find(existsSync)

let home: string
let bin: string

/** Runs a script in a shell that finds `ggen-node` and Node on its path, and answers with its lines. */
async function inShell(shell: string, args: readonly string[], script: string): Promise<readonly string[]> {
  const path = [bin, join(REPOSITORY, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter)
  const env = { ...process.env, PATH: path, HOME: home, GGEN_NODE_HOME: home, TERM: 'dumb' }
  const { stdout } = await run(shell, [...args, script], { env, cwd: home, timeout: SLOW })
  return stdout.split('\n').filter(line => line !== '')
}

beforeAll(async () => {
  home = await tempDir('completion')
  bin = await tempDir('bin')
  await writeFile(join(bin, 'ggen-node'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`, { mode: 0o755 })
  await mkdir(join(home, 'a-folder'))
  await writeFile(join(home, 'a-file'), '')
  await runCli(['init', '--name', 'office'], { home })
  for (const name of ['alpha', 'alpine', 'beta']) {
    const { code } = await runCli(['publish', await packageFolder({ name })], { home })
    expect(code).toBe(0)
  }
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await runCli(['completion', shell], { home })
    expect(code).toBe(0)
    await writeFile(join(bin, `completion.${shell}`), stdout)
  }
}, SLOW)

const cases: readonly (readonly [string, readonly string[]])[] = [
  ['ggen-node inst', ['install']],
  ['ggen-node config ', ['get', 'list', 'path', 'set', 'unset']],
  ['ggen-node --json registry ', ['add', 'create', 'list', 'remove', 'show']],
  ['ggen-node registry show o', ['office']],
  ['ggen-node role grant did:key:z6Mk pub', ['publisher']],
  ['ggen-node role list be', ['beta']],
  ['ggen-node owner add --package al', ['alpha', 'alpine']],
  ['ggen-node sign --key rec', ['recovery']],
  ['ggen-node edit al', ['alpha', 'alpine']],
  ['ggen-node edit --file a-', ['a-file', 'a-folder']],
  ['ggen-node bundle ', ['add', 'create', 'install', 'list', 'remove']],
  ['ggen-node bundle add starter be', ['beta']],
  ['ggen-node category list --registry ', ['office']],
  ['ggen-node announce ', ['list', 'remove']],
  ['ggen-node swarm ', ['create', 'expel', 'invite', 'join', 'leave', 'list', 'members', 'rotate']],
  ['ggen-node invite --role m', ['maintainer', 'member', 'mirror']],
  ['ggen-node swarm create x --admission ', ['curated', 'open']],
  ['ggen-node join --token-file a-', ['a-file', 'a-folder']],
  ['ggen-node leave x --default ', ['office']],
  ['ggen-node members --f', ['--full']],
  ['ggen-node admit a-', ['a-file', 'a-folder']],
  ['ggen-node start --ke', ['--keep']],
  ['ggen-node start --keep ', ['all', 'none']],
  ['ggen-node start --mdns --keep al', ['all']],
  ['ggen-node completion ', ['bash', 'fish', 'zsh']],
  ['ggen-node install al', ['alpha', 'alpine']],
  ['ggen-node install --force be', ['beta']],
  ['ggen-node show --json alpha', ['alpha']],
  ['ggen-node publish --registry ', ['office']],
  ['ggen-node config set swarm.public.m', ['swarm.public.mdns']],
  ['ggen-node backup --', ['--blocks', '--help', '--home', '--json', '--passphrase-file', '--with-keys']],
  ['ggen-node backup --passphrase-file a-', ['a-file', 'a-folder']],
  ['ggen-node import a-', ['a-folder']],
  ['ggen-node install --dir a-', ['a-folder']],
  ['ggen-node yank no-such-', []]
]

const isSame = (line: string, wanted: readonly string[]) => [line, [...wanted]] as const

describe.skipIf(found('bash') === undefined)('bash completes', () => {
  const complete = async (line: string): Promise<readonly string[]> => {
    const script = `source ${bin}/completion.bash
      COMP_LINE=${JSON.stringify(line)} COMP_POINT=\${#COMP_LINE}
      COMP_WORDS=($COMP_LINE) COMP_CWORD=\${#COMP_WORDS[@]} COMPREPLY=()
      _ggen_node; printf '%s\\n' "\${COMPREPLY[@]}"`
    return (await inShell('bash', ['--norc', '-c'], script)).toSorted()
  }

  test.each(cases)('%s', async (line, wanted) => expect(isSame(line, await complete(line))).toEqual([line, wanted]))

  test('a name behind an alias, cut off where bash breaks words', async () => {
    expect(await complete('ggen-node install office:al')).toEqual(['alpha', 'alpine'])
  })

  test('names from the data directory that the line gives', async () => {
    const other = await tempDir('other')
    await runCli(['init', '--name', 'elsewhere'], { home: other })
    expect(await complete(`ggen-node --home ${other} publish --registry `)).toEqual(['elsewhere'])
  })

  test('every command that --help shows', async () => {
    const { stdout } = await runCli(['--help'])
    const commands = [...stdout.matchAll(/^ {2}([a-z]+)(?: |$)/gm)]
      .map(([, name]) => name)
      .filter(name => name !== 'help')
    expect(commands.length).toBeGreaterThan(15)
    expect(await complete('ggen-node ')).toEqual(expect.arrayContaining(commands))
    expect(await complete('ggen-node __')).toEqual([])
  })

  test('without a word on standard error when there is no data directory', async () => {
    const nowhere = join(await tempDir('nowhere'), 'home')
    expect(await complete(`ggen-node --home ${nowhere} install `)).toEqual([])
    expect(existsSync(nowhere)).toBe(false)
  })
})

describe.skipIf(found('zsh') === undefined)('zsh completes (skipped where there is no zsh)', () => {
  const complete = async (line: string): Promise<readonly string[]> => {
    // What compinit brings is stood in for: what a shell offers is what is handed to compadd and _files.
    const script = `compdef() { }
      compadd() { shift; print -l -- "\${(@M)@:#$cur*}"; }
      _files() { if [[ $1 == -/ ]]; then print -l -- $cur*(N/); else print -l -- $cur*(N); fi }
      source ${bin}/completion.zsh
      line=${JSON.stringify(line)}; words=(\${(s: :)line}); [[ $line == *' ' ]] && words+=('')
      CURRENT=\${#words}
      _ggen_node`
    return (await inShell('zsh', ['-f', '-c'], script)).toSorted()
  }

  test.each(cases)('%s', async (line, wanted) => expect(isSame(line, await complete(line))).toEqual([line, wanted]))
})

describe.skipIf(found('fish') === undefined)('fish completes (skipped where there is no fish)', () => {
  const complete = async (line: string): Promise<readonly string[]> => {
    const script = `source ${bin}/completion.fish; complete -C ${JSON.stringify(line)}`
    const answers = await inShell('fish', ['--no-config', '-c'], script)
    return answers.map(answer => answer.split('\t')[0]?.replace(/\/$/, '') ?? '').toSorted()
  }

  // fish offers options only after "-", and shows those of the command beside files where a file may stand.
  test.each(cases)('%s', async (line, wanted) => expect(isSame(line, await complete(line))).toEqual([line, wanted]))
})

test('another shell is refused by name', async () => {
  const { code, stdout } = await runCli(['--json', 'completion', 'tcsh'])
  expect(code).toBe(2)
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE' } })
})
