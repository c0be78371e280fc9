import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { ExceptionRecord, SignedException } from '../../../protocol/policy/exception.ts'
import type { Receipt, SignedReceipt } from '../../../protocol/policy/receipt.ts'
import type { Judge, JudgeComponents, LoadedPolicy } from './judge.ts'
import type { Staleness } from './staleness.ts'

/** The node's own key: it answers for exceptions, and says what was installed. */
export interface PolicySigner {
  readonly principal: Principal
  signException(body: SignedException): ExceptionRecord
  signReceipt(receipt: Receipt): SignedReceipt
}

/** What judges releases on a node. */
export interface PolicyParts {
  readonly judge: Judge
  /** The same with these policies in the place of all others. */
  readonly judgeBy: (policies: readonly LoadedPolicy[]) => Judge
  readonly policies: JudgeComponents['policies']
  /** What is said of one release, as rules hear it. */
  readonly attestations: JudgeComponents['attestations']
  /** For how long a registry was compared with nobody, beside what the policies in force bear. */
  readonly staleness: (registry: RegistryId) => Promise<Staleness>
  readonly signer: PolicySigner
}
