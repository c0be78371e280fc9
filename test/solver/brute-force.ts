import { SEMVER_ORDERING } from '../../protocol/version.ts'
import type { Registry } from './support.ts'

/** Version by name, of the packages that are there. */
export type Choice = ReadonlyMap<string, string>

export interface Statement {
  /** Undefined: said by the person. */
  readonly from: { readonly name: string; readonly versions: readonly string[] } | undefined
  readonly name: string
  /** The versions that are allowed. */
  readonly allowed: readonly string[]
}

const { parseRange, parseVersion, isPrerelease } = SEMVER_ORDERING

const rangeOf = (text: string): string => text.split(' ').slice(1).join(' ') || '*'

/** Every version of every package says what it needs. Only plain versions: no marks, no optional needs. */
export function statementsOf(registry: Registry, wishes: readonly string[]): readonly Statement[] {
  const state = (text: string): Omit<Statement, 'from'> => {
    const [name = ''] = text.split(' ')
    // A pre-release that the person names is open to everybody's ranges.
    const own = wishes.filter(wish => wish.split(' ')[0] === name).map(rangeOf)
    const versions = Object.keys(registry[name] ?? {}).filter(version => {
      const isOpen = isPrerelease(parseVersion(version)) && own.some(range => parseRange(range)(parseVersion(version)))
      return parseRange(rangeOf(text), { prereleases: isOpen })(parseVersion(version))
    })
    return { name, allowed: versions }
  }
  const needs = Object.entries(registry).flatMap(([name, versions]) =>
    Object.entries(versions).flatMap(([version, texts]) =>
      texts.map(text => ({ from: { name, versions: [version] }, ...state(text) }))
    )
  )
  return [...wishes.map(text => ({ from: undefined, ...state(text) })), ...needs]
}

export function holdsIn({ from, name, allowed }: Statement, choice: Choice): boolean {
  if (from !== undefined && !from.versions.includes(choice.get(from.name) ?? '')) return true
  return allowed.includes(choice.get(name) ?? '')
}

/** All ways to give each package one of its versions, or none. */
export function* choicesOf(registry: Registry): Generator<Choice> {
  const names = Object.keys(registry)
  const pick = function* (at: number, chosen: Map<string, string>): Generator<Choice> {
    const name = names[at]
    if (name === undefined) {
      yield new Map(chosen)
      return
    }
    yield* pick(at + 1, chosen)
    for (const version of Object.keys(registry[name] ?? {})) {
      chosen.set(name, version)
      yield* pick(at + 1, chosen)
      chosen.delete(name)
    }
  }
  yield* pick(0, new Map())
}

/** All choices under which every statement holds. */
export function solutionsOf(registry: Registry, statements: readonly Statement[]): readonly Choice[] {
  return [...choicesOf(registry)].filter(choice => statements.every(one => holdsIn(one, choice)))
}
