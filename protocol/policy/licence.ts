import parseExpression from 'spdx-expression-parse'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

type Expression = ReturnType<typeof parseExpression>

/** A licence as SPDX writes it: `MIT OR (Apache-2.0 WITH LLVM-exception)`. */
export interface Licence {
  readonly expression: string
  readonly tree: Expression
}

/**
 * Reads an SPDX expression, in the spelling of the list: `MIT`, not `mit`.
 * @throws RegistryError INVALID_LICENCE
 */
export function parseLicence(text: string): Licence {
  if (text.length > LIMITS.manifest.licenseChars) throw invalid(text)
  try {
    return { expression: text, tree: parseExpression(text) }
  } catch (cause) {
    throw invalid(text, cause)
  }
}

/** Whether a text is an SPDX expression. */
export function isLicence(text: string): boolean {
  try {
    parseLicence(text)
    return true
  } catch {
    return false
  }
}

/**
 * Whether somebody who accepts each of these alone can use what is under the licence: of an OR either side is enough, of
 * an AND both are needed. `GPL-2.0-only+` and a licence with an exception are other licences than the plain one.
 */
export function isSatisfied({ tree }: Licence, accepted: ReadonlySet<string>): boolean {
  return satisfies(tree, accepted)
}

function satisfies(tree: Expression, accepted: ReadonlySet<string>): boolean {
  if (!('conjunction' in tree)) return accepted.has(nameOf(tree))
  const { conjunction, left, right } = tree
  return conjunction === 'or'
    ? satisfies(left, accepted) || satisfies(right, accepted)
    : satisfies(left, accepted) && satisfies(right, accepted)
}

function nameOf({ license, plus, exception }: Extract<Expression, { license: string }>): string {
  return `${license}${plus === true ? '+' : ''}${exception === undefined ? '' : ` WITH ${exception}`}`
}

function invalid(text: string, cause?: unknown): RegistryError {
  return new RegistryError('INVALID_LICENCE', `${JSON.stringify(text.slice(0, 80))} is no SPDX licence expression`, {
    cause,
    next: 'write it as https://spdx.org/licenses has it, for example MIT OR Apache-2.0'
  })
}
