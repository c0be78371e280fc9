import deprecated from 'spdx-license-ids/deprecated.json' with { type: 'json' }
import current from 'spdx-license-ids/index.json' with { type: 'json' }
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { quoted } from '../strange-text.ts'

type Expression =
  | { readonly type: 'licence'; readonly name: string }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }

/** A licence as SPDX writes it: `MIT OR (Apache-2.0 WITH LLVM-exception)`. */
export interface Licence {
  readonly expression: string
  readonly tree: Expression
}

const KNOWN = new Set<string>([...current, ...deprecated])

/**
 * Reads an SPDX expression (SPDX 2.3, annex D), in the spelling of the list: `MIT`, not `mit`.
 *
 *   or      = and *( "OR" and )
 *   and     = licence *( "AND" licence )
 *   licence = "(" or ")" / ( id [ "+" ] / [ "DocumentRef-" … ":" ] "LicenseRef-" … ) [ "WITH" exception ]
 *
 * @throws RegistryError INVALID_LICENCE
 */
export function parseLicence(text: string): Licence {
  if (text.length > LIMITS.manifest.licenseChars) throw invalid(text)
  const tokens = text
    .replaceAll(/[()]/g, ' $& ')
    .split(/\s+/)
    .filter(token => token !== '')
  const reader = new Reader(text, tokens)
  const tree = reader.either()
  reader.end()
  return { expression: text, tree }
}

/** Depth is bounded by the length of the text. */
class Reader {
  readonly #text: string
  readonly #tokens: readonly string[]
  #at = 0

  constructor(text: string, tokens: readonly string[]) {
    this.#text = text
    this.#tokens = tokens
  }

  either(): Expression {
    let left = this.#both()
    while (this.#takes('OR')) left = { type: 'or', left, right: this.#both() }
    return left
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw invalid(this.#text)
  }

  #both(): Expression {
    let left = this.#one()
    while (this.#takes('AND')) left = { type: 'and', left, right: this.#one() }
    return left
  }

  #one(): Expression {
    if (this.#takes('(')) {
      const inner = this.either()
      if (!this.#takes(')')) throw invalid(this.#text)
      return inner
    }
    const name = this.#next()
    if (!isId(name)) throw invalid(this.#text)
    if (!this.#takes('WITH')) return { type: 'licence', name }
    const exception = this.#next()
    if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(exception) || OPERATORS.has(exception)) throw invalid(this.#text)
    return { type: 'licence', name: `${name} WITH ${exception}` }
  }

  #takes(token: string): boolean {
    const is = this.#tokens[this.#at] === token
    if (is) this.#at += 1
    return is
  }

  #next(): string {
    this.#at += 1
    return this.#tokens[this.#at - 1] ?? ''
  }
}

const OPERATORS = new Set(['AND', 'OR', 'WITH'])

function isId(name: string): boolean {
  if (/^(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+$/.test(name)) return true
  return KNOWN.has(name) || (name.endsWith('+') && KNOWN.has(name.slice(0, -1)))
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
 * an AND both are needed. `GPL-2.0+` and a licence with an exception are other licences than the plain one.
 */
export function isSatisfied({ tree }: Licence, accepted: ReadonlySet<string>): boolean {
  return satisfies(tree, accepted)
}

function satisfies(tree: Expression, accepted: ReadonlySet<string>): boolean {
  switch (tree.type) {
    case 'licence':
      return accepted.has(tree.name)
    case 'or':
      return satisfies(tree.left, accepted) || satisfies(tree.right, accepted)
    case 'and':
      return satisfies(tree.left, accepted) && satisfies(tree.right, accepted)
  }
}

function invalid(text: string): RegistryError {
  return new RegistryError('INVALID_LICENCE', `${quoted(text)} is no SPDX licence expression`, {
    next: 'write it as https://spdx.org/licenses has it, for example MIT OR Apache-2.0'
  })
}
