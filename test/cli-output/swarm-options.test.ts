import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { canvasFor, inviteParams } from '../../bin/commands/invite.ts'
import { handedToken } from '../../bin/commands/join.ts'
import { INVITED_ROLES, addSwarmVerbs } from '../../bin/commands/swarm-verbs.ts'
import { parseCiExpiry, parseInviteExpiry, parseOverlap } from '../../node/services/swarm/terms.ts'
import { reserveSecretFile } from '../../node/secret-file.ts'
import { parseFactId, parseRegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { formatToken } from '../../protocol/membership/token.ts'
import { INVITED_ROLES as PROTOCOL_ROLES } from '../../protocol/payload-invite.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Date.UTC(2027, 0, 10, 12)
const TOKEN = formatToken({
  kind: 'invite',
  registry: parseRegistryId('bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae'),
  name: 'acme',
  secret: new Uint8Array(32).fill(1),
  epoch: 1,
  psk: false,
  addresses: ['/ip4/10.0.0.5/tcp/4918/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'],
  key: new Uint8Array(32).fill(2),
  expires: NOW + DAY,
  invite: parseFactId('bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
})

const TERMINAL = { isTTY: true, columns: 100, hasColors: (count: number): boolean => count === 256 }

/** The options of a command line, as its action gets them. */
function optionsOf(words: readonly string[]): Readonly<Record<string, unknown>> {
  const program = new Command('ggen-node').exitOverride().configureOutput({ writeErr: () => {} })
  addSwarmVerbs(program)
  let found: Readonly<Record<string, unknown>> | undefined
  const everyCommand = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => {} })
    command.action(() => {
      found = command.opts()
    })
    for (const child of command.commands) everyCommand(child)
  }
  for (const command of program.commands) everyCommand(command)
  program.parse(['node', 'ggen-node', ...words])
  if (found === undefined) throw new Error('no command ran')
  return found
}

/** The code of what is thrown, and what it says to do. */
async function fault(run: () => unknown): Promise<readonly [string, string, string]> {
  try {
    await run()
  } catch (error) {
    if (isRegistryError(error)) return [error.code, error.message, error.next ?? '']
    return [error instanceof Error && 'code' in error ? String(error.code) : String(error), '', '']
  }
  return ['none', '', '']
}

const invited = (...words: readonly string[]) => inviteParams(optionsOf(['invite', ...words]), NOW)

test('the same commands stand in the group and at the top', () => {
  const program = new Command()
  addSwarmVerbs(program)
  const names = (command: Command | undefined): readonly string[] => (command?.commands ?? []).map(one => one.name())
  const group = program.commands.find(command => command.name() === 'swarm')
  expect(names(group)).toEqual(['create', 'list', ...names(program).filter(name => name !== 'swarm')])
})

test('the roles that --help shows are those of the protocol', () => {
  expect(INVITED_ROLES).toEqual(PROTOCOL_ROLES)
})

describe('invite', () => {
  test('nothing said is nothing decided here', () => expect(invited()).toEqual({ ci: false }))

  test('everything said', () => {
    const words = [
      '--registry',
      'acme',
      '--role',
      'publisher',
      '--scope',
      'ggen/a*',
      '--expires',
      '2027-02-01',
      '--uses',
      '1024'
    ]
    expect(invited(...words, '--key', 'recovery')).toEqual({
      registry: 'acme',
      role: 'publisher',
      scope: 'ggen/a*',
      expires: '2027-02-01',
      uses: 1024,
      ci: false,
      key: 'recovery'
    })
  })

  test('a QR code is drawn where the terminal decides, unless somebody does', () => {
    expect(optionsOf(['invite'])['qr']).toBeUndefined()
    expect(optionsOf(['invite', '--qr'])['qr']).toBe(true)
    expect(optionsOf(['swarm', 'invite', '--no-qr'])['qr']).toBe(false)
  })

  test.each<[readonly string[], object, ReturnType<typeof canvasFor>]>([
    [[], {}, undefined],
    [['--qr'], {}, { colours: false, columns: Number.POSITIVE_INFINITY }],
    [[], TERMINAL, { colours: true, columns: 100 }],
    [[], { ...TERMINAL, hasColors: () => false }, { colours: false, columns: 100 }],
    [['--no-qr'], TERMINAL, undefined],
    [['--out-token', 'x'], TERMINAL, undefined],
    [['--out-token', 'x', '--qr'], TERMINAL, { colours: true, columns: 100 }]
  ])('%j on %j', (words, screen, canvas) => {
    expect(canvasFor(optionsOf(['invite', ...words]), screen)).toEqual(canvas)
  })

  test.each<[readonly string[], string, string]>([
    [['--role', 'owner'], 'makes nobody owner', 'role grant DID owner'],
    [['--role', 'recovery'], 'makes nobody recovery', 'role grant DID recovery'],
    [['--role', 'king'], '"king" is no role', 'maintainer, publisher'],
    [['--uses', '0'], '--uses takes a whole number from 1', ''],
    [['--uses', '-1'], '--uses takes a whole number from 1', ''],
    [['--uses', '1.5'], '--uses takes a whole number from 1', ''],
    [['--uses', 'many'], '--uses takes a whole number from 1', ''],
    [['--uses', '1025'], '1 to 1024 uses', ''],
    [['--expires', 'tomorrow'], 'not a time to come', '30d'],
    [['--expires', '0d'], 'not a time to come', '30d'],
    [['--expires', '2026-12-31'], 'not a time to come', '30d'],
    [['--expires', '2027-02-30'], 'not a time to come', '30d'],
    [['--expires', '366d'], 'at most 365 days', ''],
    [['--ci', '--expires', '60w'], 'at most 365 days', '']
  ])('%j is refused with words', async (words, message, next) => {
    const [code, said, todo] = await fault(() => invited(...words))
    expect(code).toBe('USAGE')
    expect(said).toContain(message)
    expect(todo).toContain(next)
  })

  test('uses are not for a token that is not used up', async () => {
    expect((await fault(() => invited('--ci', '--uses', '2')))[0]).toBe('commander.conflictingOption')
  })
})

test('terms that nobody said are those of the limits', () => {
  expect(parseInviteExpiry(undefined, NOW)).toBe(NOW + 7 * DAY)
  expect(parseCiExpiry(undefined, NOW)).toBe(NOW + 90 * DAY)
  expect(parseInviteExpiry('365d', NOW)).toBe(NOW + 365 * DAY)
  expect(parseOverlap(undefined, NOW)).toBe(NOW + DAY)
})

test.each([
  ['0', 0],
  ['12h', 12 * HOUR],
  ['30d', 30 * DAY]
])('an overlap of %s', (text, ms) => expect(parseOverlap(text, NOW)).toBe(NOW + ms))

test.each(['31d', '0h', '-1d', 'never', ''])('an overlap of %j is refused', async text => {
  expect((await fault(() => parseOverlap(text, NOW)))[0]).toBe('USAGE')
})

describe('the token of join', () => {
  afterEach(() => vi.unstubAllEnvs())

  test('from the command line, and only then is there a warning', async () => {
    expect(await handedToken(TOKEN, {})).toEqual({ token: TOKEN, isOnCommandLine: true })
  })

  test('from a file, put together again where a mail program broke it', async () => {
    const file = join(await tempDir('token'), 'token')
    await writeFile(file, `  ${TOKEN.slice(0, 9)}\r\n  ${TOKEN.slice(9)}\n`)
    expect(await handedToken(undefined, { tokenFile: file })).toEqual({ token: TOKEN, isOnCommandLine: false })
  })

  test('from a variable, or from the file that one names', async () => {
    vi.stubEnv('GGEN_NODE_TOKEN', TOKEN)
    expect(await handedToken(undefined, {})).toEqual({ token: TOKEN, isOnCommandLine: false })
    const file = join(await tempDir('token'), 'token')
    await writeFile(file, TOKEN)
    vi.stubEnv('GGEN_NODE_TOKEN_FILE', file)
    expect((await fault(() => handedToken(undefined, {})))[1]).toContain('both $GGEN_NODE_TOKEN and')
    vi.stubEnv('GGEN_NODE_TOKEN', '')
    expect(await handedToken(undefined, {})).toEqual({ token: TOKEN, isOnCommandLine: false })
  })

  test('one place at a time, and one there must be', async () => {
    expect((await fault(() => handedToken(TOKEN, { tokenFile: 'x' })))[0]).toBe('USAGE')
    const [code, , next] = await fault(() => handedToken(undefined, {}))
    expect(code).toBe('USAGE')
    expect(next).toContain('ggen-node join -')
    expect((await fault(() => handedToken(undefined, { tokenFile: '/no/such/file' })))[0]).toBe('UNKNOWN_FILE')
  })

  test.each([
    '',
    'ggen1 ',
    'ggen2abc',
    'did:key:z6MkhaXg',
    TOKEN.slice(0, -1),
    `${TOKEN}a`,
    `ggen1${'a'.repeat(3_000)}`
  ])('what is no token is refused and not repeated: %s', async text => {
    const [code, message, next] = await fault(() => handedToken(text, {}))
    expect(code).toBe('MALFORMED')
    if (text !== '') expect(message + next).not.toContain(text)
  })

  test('from standard input; a file without an end is not read to its end', async () => {
    const home = await tempDir('home')
    const { code, stdout, stderr } = await runCli(['join', '-'], { home, input: `not a ${TOKEN}` })
    expect(code).toBe(6)
    expect(stderr).toContain('this is no token')
    expect(stdout + stderr).not.toContain(TOKEN)
    const long = await runCli(['join', '-', '--json'], { home, input: 'x'.repeat(100_000) })
    expect(long).toMatchObject({ code: 5, stderr: '' })
    expect(JSON.parse(long.stdout)).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED' } })
  })
})

test('a file for a token is made before there is one, and goes when there is none', async () => {
  const file = join(await tempDir('token'), 'token')
  const reserved = await reserveSecretFile(file)
  expect((await fault(() => reserveSecretFile(file)))[0]).toBe('ALREADY_EXISTS')
  await reserved.discard()
  const again = await reserveSecretFile(file)
  await again.fill(`${TOKEN}\n`)
  if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await handedToken(undefined, { tokenFile: file })).toMatchObject({ token: TOKEN })
})
