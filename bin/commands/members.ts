import type { ApiMethods } from '../../node/services/api.ts'
import type {
  ExpelResult,
  ShownInvite,
  ShownMember,
  ShownMembers,
  ShownSwarm
} from '../../node/services/swarm/methods.ts'
import { MEMBERSHIP_LIMITS } from '../../protocol/membership/limits.ts'
import { leftText, shortKey, spanText, timeText } from './member-key.ts'
import { countOf, report, table } from './print.ts'
import { argument, listOption, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { namedText } from './publisher-text.ts'
import { fileLines, signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'
import { swarmNotes } from './swarm-text.ts'

/** `ggen-node members`. */
export async function members(session: Session, options: Options): Promise<void> {
  const { shown, swarms } = await withNode(session, { network: false }, async client => ({
    shown: await client.call('members', textParam(options, 'registry')),
    swarms: await client.call('swarmList', {})
  }))
  const isFull = options['full'] === true
  report(session, shown, () => memberLines(shown, { swarms, now: Date.now(), isFull }))
}

/** What a table of members is made with, beside the members. */
export interface MemberTable {
  readonly swarms: readonly ShownSwarm[]
  readonly now: number
  readonly isFull: boolean
}

export function memberLines(shown: ShownMembers, { swarms, now, isFull }: MemberTable): readonly string[] {
  const whole = isFull ? (key: string): string => key : shortKey
  const keyText = (key: string): string => namedText(key, whole(key), shown.publishers)
  return [
    ...table([
      ['MEMBER', 'ROLES', 'CERTIFICATE', 'SEEN', 'INVITED BY'],
      ...shown.members.map(member => [
        `${keyText(member.key)}${member.isSelf ? ' (this node)' : ''}`,
        member.state === 'expired' ? 'expired' : member.roles.join(', '),
        certificateOf(member, now),
        seenText(member, now),
        member.invite === null ? 'nobody' : keyText(member.invite.by)
      ])
    ]),
    ...inviteTable(shown.invites, keyText),
    ...shown.members.flatMap(member => memberNotes(member, now)),
    ...shown.invites.filter(({ doubled }) => doubled > 0).map(doubledNote),
    ...swarmNotes(
      swarms.filter(({ registry }) => registry === shown.registry),
      now
    )
  ]
}

/** The certificate of a member that is good longest. */
function longest({ hosts }: ShownMember): number | undefined {
  const ends = hosts.flatMap(({ certificate }) => (certificate === null ? [] : [certificate.expires]))
  return ends.length === 0 ? undefined : Math.max(...ends)
}

function certificateOf(member: ShownMember, now: number): string {
  const expires = longest(member)
  return expires === undefined ? 'none seen' : leftText(expires, now)
}

function seenText({ hosts, isSelf }: ShownMember, now: number): string {
  if (isSelf) return 'here'
  if (hosts.some(({ connected }) => connected)) return 'connected'
  const times = hosts.flatMap(({ lastSeen }) => (lastSeen === null ? [] : [lastSeen]))
  if (times.length > 0) return `${spanText(Math.max(0, now - Math.max(...times)))} ago`
  return hosts.length > 0 ? 'by others' : 'never'
}

/** A certificate that is near its end although it should have been renewed. The own one is among the swarm's warnings. */
function memberNotes(member: ShownMember, now: number): readonly string[] {
  const expires = longest(member)
  if (member.isSelf || member.state === 'expired' || expires === undefined) return []
  if (expires <= now || expires - now > MEMBERSHIP_LIMITS.renewFromLeftMs) return []
  const text = `the certificate of ${shortKey(member.key)} runs out in ${spanText(expires - now)}`
  return [gutter('Note', `${text}: it is renewed when the member meets an owner or curator`, 'note')]
}

function doubledNote({ fact, doubled }: ShownInvite): string {
  return gutter(
    'Note',
    `${countOf(doubled, 'use')} of invite ${fact} taken twice: who came second is no member`,
    'note'
  )
}

function inviteTable(invites: readonly ShownInvite[], keyText: (key: string) => string): readonly string[] {
  if (invites.length === 0) return []
  return [
    '',
    ...table([
      ['INVITED AS', 'USED', 'UNTIL', 'STATE', 'BY', 'INVITE'],
      ...invites.map(({ role, used, uses, expires, state, by, fact }) => [
        role,
        `${used} of ${uses}`,
        timeText(expires),
        state,
        keyText(by),
        fact
      ])
    ])
  ]
}

/** `ggen-node expel`. */
export async function expel(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params: ApiMethods['expel']['params'] = {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    member: argument(args, 0),
    reason: textOption(options, 'reason') ?? '',
    compromised: options['compromised'] === true,
    rotate: options['rotate'] === true,
    keep: listOption(options, 'keep')
  }
  const expelled = await withProgress(session, onProgress =>
    withNode(session, { network: true }, client => client.call('expel', params, { signal: session.signal, onProgress }))
  )
  report(session, expelled, () => expelledLines(expelled))
}

/** Most keys that are shown by name; `--json` has them all. */
const SHOWN = 16

function keptLines(kept: readonly string[]): readonly string[] {
  const more = kept.length - SHOWN
  return [
    ...kept.slice(0, SHOWN).map(key => gutter('Kept', `${key} who came by the same invite`)),
    ...(more > 0 ? [under(`and ${countOf(more, 'other')}`)] : [])
  ]
}

/** Who has the token may have taken a place from whoever had it: which is which only a person can tell. */
function doubtfulLines(keys: readonly string[]): readonly string[] {
  return [
    gutter('Doubtful', 'one place of the invite was used more than once, and nobody is kept for it:', 'note'),
    ...keys.map(under),
    under('whoever of them is to be in is invited again, or: ggen-node role grant DID ROLE')
  ]
}

/** Says what an expulsion does, and as plainly what it does not do. */
export function expelledLines(expelled: ExpelResult): readonly string[] {
  const { alias, member, facts, invites, kept, doubtful, missing, cut, rotated, file } = expelled
  return [
    missing === 0
      ? gutter('Expelled', `${member} from ${alias}`)
      : gutter('Waits', `${member} is in ${alias} until ${countOf(missing, 'more owner')} signed`, 'note'),
    ...facts.map(under),
    ...fileLines(file),
    ...(missing === 0
      ? []
      : [under(`ggen-node sign ${file ?? facts.join(' and ')} on their side: until then nothing below is so`)]),
    ...(invites.length === 0 ? [] : [gutter('Ended', `${countOf(invites.length, 'invite')} that it holds or made`)]),
    ...keptLines(kept),
    ...doubtful.flatMap(({ keys }) => doubtfulLines(keys)),
    gutter('Cut', `${countOf(cut, 'connection')} of this node; every other member cuts its own when it hears of this`),
    gutter('Gets', 'no byte, no name and no statement of this registry any more', 'same'),
    gutter('Keeps', 'what it already has: packages, names and statements that it received stay with it', 'note'),
    ...(rotated
      ? [gutter('Rotated', `it does not know the new secret of ${alias}`)]
      : [
          gutter('Knows', `the secret of ${alias} until that changes: it can tell that this swarm is there`, 'note'),
          nextStep(`ggen-node rotate --registry ${alias}`)
        ])
  ]
}
