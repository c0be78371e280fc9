import { verified } from '../../node/services/registry-state.ts'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Subject } from '../../protocol/fact.ts'
import { foldPackage } from '../../protocol/fold.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { FactWriter, Made } from './facts.ts'
import { subject } from './facts.ts'

export function toVerified({ bytes }: Made): VerifiedFact {
  return verified(parseEnvelope(bytes))
}

/** The facts of one subject, in an order that no fold may depend on: turned by `turn` places. */
function about(facts: FactWriter, name: Subject, turn: number): readonly VerifiedFact[] {
  const all = facts.all.filter(({ body }) => body.subject === name).map(toVerified)
  return [...all.slice(turn % Math.max(1, all.length)), ...all.slice(0, turn % Math.max(1, all.length))]
}

/** The authority that all facts of a writer add up to. */
export function authorityOf(facts: FactWriter, turn = 0): Authority {
  const authority = foldAuthority(facts.registry, about(facts, 'registry', turn))
  if (authority === undefined) throw new Error('the writer has no genesis')
  return authority
}

/** The view of one package that all facts of a writer add up to. */
export function packageOf(facts: FactWriter, name: string, turn = 0): PackageView {
  return foldPackage(subject(name), authorityOf(facts, turn), about(facts, subject(name), turn))
}

/** Facts that do not count, and why. */
export function asideOf(view: PackageView): Readonly<Record<string, string>> {
  return Object.fromEntries(view.setAside.map(({ fact, reason }) => [fact, reason]))
}
