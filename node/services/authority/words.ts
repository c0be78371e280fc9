import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { Heads } from '../../../protocol/heads.ts'
import type { Grant, Revoke } from '../../../protocol/payload-authority.ts'
import type { Invite } from '../../../protocol/payload-invite.ts'
import { WHOLE } from '../../../protocol/role.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import { isDigestSubject, sha256Of } from '../../../protocol/subject.ts'

/** What a fact says, in words that a person can check before signing it. */
export function describe({ body, payload }: VerifiedFact): string {
  const { subject } = body
  switch (payload.type) {
    case 'genesis': {
      const { name, roots, threshold } = payload.value
      return `found registry ${name} with ${roots.length} owners, of whom ${threshold} must sign`
    }
    case 'invite':
      return describeInvite(payload.value)
    case 'redeem':
      return `use invite ${payload.value.invite} for ${payload.value.key}`
    case 'grant':
      return describeGrant(subject, payload.value)
    case 'revoke':
      return describeRevoke(subject, payload.value)
    case 'cosign':
      return `sign statement ${payload.value.fact} too`
    case 'claim': {
      const { keys, threshold } = payload.value
      return `give out the name ${shortOf(subject)} to ${keys.join(', ')}, of whom ${threshold} must sign`
    }
    case 'release': {
      const { version, root, size } = payload.value
      return `release ${shortOf(subject)}@${version} with the content ${root}, ${size} bytes`
    }
    case 'yank':
      return `yank ${shortOf(subject)}@${payload.value.version}${reasonOf(payload.value.reason)}`
    case 'unyank':
      return `take back ${payload.value.yanks.length} yanks of ${shortOf(subject)}@${payload.value.version}`
    case 'quarantine':
      return `put ${shortOf(subject)}@${payload.value.version} in quarantine${reasonOf(payload.value.reason)}`
    case 'unquarantine':
      return `lift ${payload.value.quarantines.length} quarantines of ${shortOf(subject)}@${payload.value.version}`
    case 'advisory':
      return `warn of ${shortOf(subject)}: ${payload.value.osv.id}${reasonOf(payload.value.osv.summary)}`
    case 'observation':
      return `tell when ${payload.value.seen.length} releases of ${shortOf(subject)} were first seen`
    case 'metadata': {
      const { edits, change } = payload.value
      if (change === null) return `begin the words about ${shortOf(subject)} anew from what they say now`
      return `edit the words about ${shortOf(subject)}: ${edits.map(({ op, path }) => `${op} ${path.join('/')}`).join(', ')}`
    }
    case 'resolve': {
      const { keep, over } = payload.value
      return `keep statement ${keep} over ${over.join(', ')}`
    }
    case 'policy': {
      const { text } = payload.value
      return text === ''
        ? 'take the policy of the registry back'
        : `install its releases by this policy: ${text.replaceAll(/\s+/g, ' ').trim()}`
    }
    case 'attestation':
      return `say of ${shortOf(subject)}: ${payload.value.statement.predicateType}, signed by ${payload.value.keys.join(', ')}`
  }
}

function describeGrant(subject: Subject, { key, role, scope, expires, threshold }: Grant): string {
  const over = subject === 'registry' && scope !== '*' ? ` of ${scope}` : ` of ${shortOf(subject)}`
  const until = expires === null ? '' : ` until ${dateText(expires)}`
  return `make ${key} ${role}${over}${until}${thresholdText(threshold)}`
}

function describeInvite({ key, role, scope, expires, uses }: Invite): string {
  const over = scope === WHOLE ? '' : ` of ${scope}`
  const whom = uses === 1 ? 'one key' : `${uses} keys`
  return `let whoever holds the secret of ${key} make ${whom} ${role}${over} until ${dateText(expires)}`
}

function describeRevoke(subject: Subject, { key, role, scope, heads, threshold, reason }: Revoke): string {
  const what = role === null ? 'every role' : `the role ${role}`
  const part = (scope as string) === 'registry' ? 'the registry itself' : scope
  const over = subject === 'registry' && scope !== WHOLE ? ` over ${part}` : ` in ${shortOf(subject)}`
  const kept = positionsIn(heads)
  const rest = kept === 0 ? 'nothing that it signed stays' : `what it signed up to ${kept} known positions stays`
  return `take ${what} of ${key} away${over}${reasonOf(reason)}; ${rest}${thresholdText(threshold)}`
}

function thresholdText(threshold: number | null): string {
  return threshold === null ? '' : `; from then on ${threshold} owners must sign`
}

function positionsIn(heads: Heads): number {
  return [...heads.values()].reduce((sum, subjects) => sum + subjects.size, 0)
}

/** What a fact is about, as people call it. */
export function shortOf(subject: Subject): string {
  if (subject === 'registry') return 'the registry'
  return isDigestSubject(subject) ? `sha256 ${sha256Of(subject)}` : shortNameOf(subject)
}

function reasonOf(reason: string): string {
  return reason === '' ? '' : `: ${reason}`
}

/** A time as a person reads it, to the minute. Attack: a number of milliseconds beyond what a date can be. */
export function dateText(ms: number): string {
  return ms > 8.64e15 ? 'the end of time' : new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}
