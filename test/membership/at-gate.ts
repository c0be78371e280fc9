import type { Authority } from '../../protocol/authority.ts'
import type { Principal } from '../../protocol/did.ts'
import { membersOf } from '../../protocol/membership/members.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import { make } from '../support/facts.ts'
import type { FactWriter, Made, Person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

export const NOW = 1_750_000_000_000

export async function admit(node: TestGate, ...facts: readonly Made[]): Promise<readonly string[]> {
  const verdicts = await node.gate.admitMany(
    facts.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  return verdicts.map(verdict => ('reason' in verdict ? `${verdict.verdict} ${verdict.reason}` : verdict.verdict))
}

export async function nodeWith(facts: FactWriter, made: readonly Made[] = facts.all): Promise<TestGate> {
  const node = await openGate(facts.registry)
  await admit(node, ...made)
  return node
}

export function authorityAt(node: TestGate, { registry }: FactWriter): Authority {
  const authority = node.gate.state(registry)?.authority
  if (authority === undefined) throw new Error('no authority yet')
  return authority
}

export function asideAt(node: TestGate, facts: FactWriter): Readonly<Record<string, string>> {
  return Object.fromEntries(authorityAt(node, facts).setAside.map(({ fact, reason }) => [fact, reason]))
}

/** Members by an invite. */
export function invitedAt(node: TestGate, facts: FactWriter): readonly Principal[] {
  const members = membersOf(authorityAt(node, facts), NOW)
  return members.filter(({ invite }) => invite !== null).map(({ key }) => key)
}

/** One place, used for another key. */
export function again({ body }: Made, key: Principal, by: Person): Made {
  const payload = parsePayload(body)
  if (payload.type !== 'redeem') throw new Error('no use')
  return make({ ...body, payload: encodePayload({ type: 'redeem', value: { ...payload.value, key } }) }, by)
}
