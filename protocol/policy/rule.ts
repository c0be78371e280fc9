import { RegistryError } from '../errors.ts'

/** What follows where a rule does not hold: nothing is installed, somebody is told, or it is only written down. */
export const ACTIONS = ['deny', 'warn', 'audit'] as const
export type Action = (typeof ACTIONS)[number]

/** One rule: where `when` holds, `require` must hold too. Both are expressions of CEL over the schema of `schema.ts`. */
export interface Rule {
  /** What programs compare and people type: the code of its verdicts. */
  readonly id: string
  readonly when: string | undefined
  readonly require: string
  /** What is wrong where it does not hold. */
  readonly message: string
  readonly action: Action
}

/** What every fault of a policy is told with. */
export function invalid(
  message: string,
  next = 'correct the file; docs/spec/policy.md says what may stand in it',
  cause?: unknown
): RegistryError {
  return new RegistryError('POLICY_INVALID', message, { next, cause })
}
