import { resolve } from 'node:path'
import type { ApiMethods } from '../../node/services/api.ts'
import type { InviteResult } from '../../node/services/swarm/methods.ts'
import { checkUses, parseCiExpiry, parseInvitedRole, parseInviteExpiry } from '../../node/services/swarm/terms.ts'
import { shortKey, timeText } from './member-key.ts'
import { countOf, print, report } from './print.ts'
import type { Canvas } from './qr.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { countParam, fileLines, signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node invite`. */
export async function invite(session: Session, options: Options): Promise<void> {
  const params = inviteParams(options, Date.now())
  const outToken = textOption(options, 'outToken')
  const { reserveSecretFile } = await import('../../node/secret-file.ts')
  // Before anything is signed: an invite whose token is lost is one that somebody has to end.
  const tokenFile = outToken === undefined ? undefined : await reserveSecretFile(resolve(outToken))
  let made: InviteResult
  let isReachable: boolean
  try {
    ;({ made, isReachable } = await withNode(session, { network: false }, async client => {
      const signed = await client.call('invite', params, { signal: session.signal })
      const swarms = await client.call('swarmList', {})
      return {
        made: signed,
        isReachable: swarms.some(({ registry, running }) => registry === signed.registry && running)
      }
    }))
    await tokenFile?.fill(`${made.token}\n`)
  } catch (error) {
    await tokenFile?.discard()
    throw error
  }
  const where = tokenFile?.file ?? null
  const { token, ...said } = made
  report(session, { ...said, token: where === null ? token : null, tokenFile: where }, () =>
    inviteLines(made, { tokenFile: where, isReachable })
  )
  const canvas = session.json ? undefined : canvasFor(options, process.stdout)
  if (canvas === undefined) return
  const { drawQr } = await import('./qr.ts')
  const drawn = drawQr(token, canvas)
  if (typeof drawn === 'number')
    print(gutter('No code', `it needs ${drawn} columns, and this terminal has ${canvas.columns}`, 'same'))
  else for (const line of drawn) print(line)
}

/** The call that a command line means. @throws RegistryError USAGE */
export function inviteParams(options: Options, now: number): ApiMethods['invite']['params'] {
  const { uses } = countParam(options, 'uses')
  const role = textOption(options, 'role')
  const expires = textOption(options, 'expires')
  const isCi = options['ci'] === true
  if (uses !== undefined) checkUses(uses)
  if (role !== undefined) parseInvitedRole(role)
  if (isCi) parseCiExpiry(expires, now)
  else parseInviteExpiry(expires, now)
  return {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    ...textParam(options, 'role'),
    ...textParam(options, 'scope'),
    ...textParam(options, 'expires'),
    ...(uses === undefined ? {} : { uses }),
    ci: isCi
  }
}

/** What is known beside the result. */
interface Surroundings {
  /** Where the token was written; null when it is printed. */
  readonly tokenFile: string | null
  /** Whether the host runs that the token leads to. */
  readonly isReachable: boolean
}

/** The token stands on a line of its own, with nothing before it: to be copied, or found by a program. */
export function inviteLines(made: InviteResult, { tokenFile, isReachable }: Surroundings): readonly string[] {
  const { alias, role, expires, uses, member, missing, fact, file, token } = made
  const until = `until ${timeText(expires)}`
  return [
    member === null
      ? gutter('Invited', `to ${alias} as ${role}  ${countOf(uses ?? 1, 'use')}, ${until}`)
      : gutter('Made', `${shortKey(member)} a ${role} of ${alias}  ${until}`),
    ...fileLines(file),
    ...(missing === 0
      ? []
      : [
          gutter('Waits', `it is good for nothing before ${countOf(missing, 'more owner')} signed`, 'note'),
          under(file === null ? `ggen-node sign ${fact} on their side` : `ggen-node sign ${file} on their side`)
        ]),
    ...(isReachable
      ? []
      : [
          gutter('Note', `no host of ${alias} runs here, so nobody can join through this node: ggen-node start`, 'note')
        ]),
    ...(tokenFile === null ? [token] : [gutter('Token', tokenFile)]),
    ...(member === null
      ? [
          gutter('Secret', 'whoever has the token can join: hand it over as you would a password', 'note'),
          nextStep('ggen-node join -, on the machine that is to join')
        ]
      : [
          gutter('Secret', "the token holds the member's own key: give it to that machine alone", 'note'),
          nextStep('$GGEN_NODE_TOKEN or $GGEN_NODE_TOKEN_FILE on that machine, and ggen-node install')
        ])
  ]
}

/** What standard output is, as far as a code on it is concerned. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  hasColors?(count: number): boolean
}

/**
 * Where a code is drawn: on a terminal, unless the token went to a file; elsewhere, where nobody holds up a camera, only
 * when asked for.
 */
export function canvasFor(options: Options, screen: Screen): Canvas | undefined {
  const isTerminal = screen.isTTY === true
  const wanted = options['qr'] ?? (isTerminal && options['outToken'] === undefined)
  if (wanted !== true) return undefined
  if (!isTerminal) return { colours: false, columns: Number.POSITIVE_INFINITY }
  return { colours: screen.hasColors?.(256) === true, columns: screen.columns ?? 80 }
}
