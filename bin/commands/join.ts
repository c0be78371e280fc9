import { resolve } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'
import type { JoinResult } from '../../node/services/swarm/methods.ts'
import { TOKEN_TEXT_BYTES, oneToken, readTokenFile, tokenOfEnvironment } from '../../node/swarm-token.ts'
import { leftText } from './member-key.ts'
import { askHidden } from './passphrase.ts'
import { countOf, report, safe } from './print.ts'
import { textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { textParam } from './signed.ts'
import { listenParam } from './swarm.ts'
import { gutter, nextStep, under } from './style.ts'

/** Where the token came from, and what follows from that for its secrecy. */
interface Handed {
  readonly token: string
  readonly isOnCommandLine: boolean
}

/** `ggen-node join`. The token is printed nowhere, whatever happens. */
export async function join(session: Session, args: readonly string[], options: Options): Promise<void> {
  const { token, isOnCommandLine } = await handedToken(args[0], options)
  const params = {
    token,
    ...textParam(options, 'alias'),
    ...listenParam(options)
  }
  const joined = await withProgress(session, onProgress =>
    withNode(session, { network: true, create: true }, client =>
      client.call('join', params, { signal: session.signal, onProgress })
    )
  )
  const warnings = [...joined.warnings, ...(isOnCommandLine ? [ON_COMMAND_LINE] : [])]
  report(session, { ...joined, warnings }, () => joinedLines({ ...joined, warnings }, Date.now()))
}

const ON_COMMAND_LINE =
  'other users of this machine can see a command line, and a shell remembers it: ggen-node join - or --token-file keeps a token out of both'

/** One token, from the one place that it was said in. @throws RegistryError USAGE | MALFORMED | UNKNOWN_FILE */
export async function handedToken(operand: string | undefined, options: Options): Promise<Handed> {
  const file = textOption(options, 'tokenFile')
  if (operand !== undefined && file !== undefined)
    throw new RegistryError('USAGE', 'a token and --token-file say two things', { next: 'use one of both' })
  if (file !== undefined) return { token: await readTokenFile(resolve(file)), isOnCommandLine: false }
  if (operand === '-') return { token: await typedToken(), isOnCommandLine: false }
  if (operand !== undefined) return { token: oneToken(operand), isOnCommandLine: true }
  const named = await tokenOfEnvironment()
  if (named !== undefined) return { token: named, isOnCommandLine: false }
  throw new RegistryError('USAGE', 'no token was given', {
    next: 'ggen-node join - asks for it; --token-file FILE and $GGEN_NODE_TOKEN will do, too'
  })
}

async function typedToken(): Promise<string> {
  if (process.stdin.isTTY) return oneToken(await askHidden('Token: '))
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin) {
    text += String(chunk)
    // Attack: none, but what is piped in by mistake may have no end.
    if (text.length > TOKEN_TEXT_BYTES)
      throw new RegistryError('LIMIT_EXCEEDED', 'standard input is longer than a token')
  }
  return oneToken(text)
}

export function joinedLines(joined: JoinResult, now: number): readonly string[] {
  const { alias, name, registry, member, role, peer, facts, packages, certificate, already, warnings } = joined
  const called = alias === name ? alias : `${safe(name)}, here ${alias}`
  return [
    already
      ? gutter('Unchanged', `this node is a member of ${called}`, 'same')
      : gutter('Joined', `${called} as ${role}`),
    under(registry),
    gutter('Member', member, 'same'),
    ...(peer === '' ? [] : [gutter('Through', peer, 'same')]),
    certificate === null
      ? gutter('Certificate', 'not yet: the first owner or curator that is met makes one', 'note')
      : gutter('Certificate', `${leftText(certificate.expires, now)}, renewed in time`, 'same'),
    gutter('Received', `${countOf(facts, 'statement')} about ${countOf(packages, 'package')}`),
    ...warnings.map(warning => gutter('Note', safe(warning), 'note')),
    nextStep(`ggen-node install ${alias}:NAME`)
  ]
}
