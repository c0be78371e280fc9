import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { excuses } from '../../../protocol/policy/receipt.ts'
import type { Receipt, ReceiptPackage } from '../../../protocol/policy/receipt.ts'
import type { Judged, Judgement } from './judge.ts'

export interface ReceiptComponents {
  readonly by: Principal
  readonly program: string
  readonly now: () => number
  /** The signed fact of a release in base64; null when it is not here any more. */
  readonly statement: (
    registry: RegistryId,
    said: { readonly name: PackageName; readonly fact: FactId }
  ) => Promise<string | null>
  /** Signs it and writes it into the project; returns where. */
  readonly write: (project: string, receipt: Receipt) => Promise<string>
}

/** Who sent bytes for which package of an install. */
export type SentBy = (package_: { readonly registry: RegistryId; readonly name: PackageName }) => readonly string[]

/** Writes down what was installed and why it was allowed; answers with the path of the receipt below the project. */
export type WriteReceipt = (project: string, judgement: Judgement, from: SentBy) => Promise<string>

/** All packages of the lockfile are in a receipt, also those that were there before: it says what a machine has. */
export function receipts(components: ReceiptComponents): WriteReceipt {
  return async (project, { policies, judged, exceptions }, from) => {
    const packages: ReceiptPackage[] = []
    const { releasesPerTurn } = LIMITS.policy
    for (let at = 0; at < judged.length; at += releasesPerTurn) {
      const some = judged.slice(at, at + releasesPerTurn)
      packages.push(...(await Promise.all(some.map(one => packageOf(one, from, components)))))
    }
    const { by, program, now, write } = components
    const shown = policies.map(({ name, registry = null, isLocal, policy }) => {
      const { digest, rules, exceptions: written, exceptionKeys } = policy
      return { name, digest, registry, local: isLocal, rules, exceptions: written, exceptionKeys }
    })
    const used = exceptions.filter(record => packages.some(one => excuses(record, one)))
    return write(project, { v: 1, by, time: now(), program, policies: shown, exceptions: used, packages })
  }
}

async function packageOf(
  { candidate, facts, verdict, rules }: Judged,
  from: SentBy,
  { statement }: ReceiptComponents
): Promise<ReceiptPackage> {
  const { registry, name, version, root, by, fact } = candidate
  return {
    registry,
    name,
    version,
    root,
    author: by,
    fact,
    statement: await statement(registry, { name, fact }),
    from: from(candidate),
    facts,
    verdict,
    rules: rules.map(({ policy, code, outcome, exception }) => ({ policy, code, outcome, exception }))
  }
}
