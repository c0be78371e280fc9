import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { isEcosystem, packageNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { quoted, strangeIn } from './strange-text.ts'

/**
 * What a person types to mean a package:
 *
 *   reference = [alias ":"] [ecosystem "/"] name ["@" range]
 *
 * The ecosystem defaults to `ggen`, the range to the highest stable version. A scoped npm name keeps its own `@`.
 */
export interface Reference {
  readonly alias: string | undefined
  readonly name: PackageName
  readonly range: string | undefined
}

const ALIAS = /^[a-z0-9][a-z0-9-]*$/

/** @throws RegistryError INVALID_REFERENCE | INVALID_NAME */
export function parseReference(input: string): Reference {
  if (input.length === 0 || input.length > LIMITS.names.referenceChars) throw invalid(input)
  const colon = input.indexOf(':')
  const alias = colon > 0 ? parseAlias(input.slice(0, colon)) : undefined
  const rest = colon > 0 ? input.slice(colon + 1) : input
  // The range begins at the first "@" that is not the first character of the name or of a scope.
  const at = rest.indexOf('@', rest.startsWith('@') ? 1 : rest.indexOf('/@') >= 0 ? rest.indexOf('/@') + 2 : 0)
  const path = at < 0 ? rest : rest.slice(0, at)
  const range = at < 0 ? undefined : rest.slice(at + 1)
  if (path === '' || range === '') throw invalid(input)
  const slash = path.indexOf('/')
  const first = slash < 0 ? '' : path.slice(0, slash)
  const name = isEcosystem(first) ? packageNameOf(first, path.slice(slash + 1)) : packageNameOf('ggen', path)
  return { alias, name, range }
}

/** @throws RegistryError INVALID_REFERENCE */
export function parseAlias(text: string): string {
  if (text.length > LIMITS.names.aliasChars || !ALIAS.test(text)) {
    throw new RegistryError(
      'INVALID_REFERENCE',
      `${quoted(text)} is not a registry alias: ${strangeIn(text) ?? 'use a-z, 0-9 and "-"'}`
    )
  }
  return text
}

function invalid(input: string): RegistryError {
  return new RegistryError('INVALID_REFERENCE', `${quoted(input)} is not a package reference`, {
    next: 'write it as [registry:][ecosystem/]name[@range], for example hello-world@^1.0.0'
  })
}
