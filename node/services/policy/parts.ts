import type { Principal } from '../../../protocol/did.ts'
import type { ExceptionRecord, SignedException } from '../../../protocol/policy/exception.ts'
import type { Judge, JudgeComponents, LoadedPolicy } from './judge.ts'

/** A key that can answer for an exception. */
export interface ExceptionSigner {
  readonly principal: Principal
  signException(body: SignedException): ExceptionRecord
}

/** What judges releases on a node. */
export interface PolicyParts {
  readonly judge: Judge
  /** The same with these policies in the place of all others. */
  readonly judgeBy: (policies: readonly LoadedPolicy[]) => Judge
  readonly policies: JudgeComponents['policies']
  readonly signer: ExceptionSigner
}
