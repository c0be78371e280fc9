import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { quoted, strangeIn } from './strange-text.ts'

export const ECOSYSTEMS = ['ggen', 'npm', 'cargo', 'pypi', 'go', 'maven'] as const
export type Ecosystem = (typeof ECOSYSTEMS)[number]

/**
 * An ecosystem, a slash, and the name as that ecosystem spells it: `ggen/advanced-rust-project`.
 *
 *   name      = ecosystem "/" rest
 *   ecosystem = "ggen" / "npm" / "cargo" / "pypi" / "go" / "maven"
 *   rest      = 1*214( "a"-"z" / "0"-"9" / "." / "_" / "-" / "/" / "@" )    ; ggen: no "/" and no "@"
 *
 * For ggen: begins and ends with a letter or digit, no two of `.`, `_`, `-` in a row, and not a name that some
 * file system keeps for itself (`con`, `nul`, …).
 */
export type PackageName = Brand<string, 'PackageName'>

/** The part after the ecosystem. For ggen it is also a safe folder name. */
export type GgenName = Brand<string, 'GgenName'>

const GGEN_NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/
const RESERVED = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/

/** @throws RegistryError INVALID_NAME */
export function parseGgenName(input: string): GgenName {
  const why = ggenNameFault(input)
  if (why !== undefined) throw new RegistryError('INVALID_NAME', `${quoted(input)} is not a package name: ${why}`)
  return input as GgenName
}

/** Why a text can't be a ggen name, or undefined when it can. */
export function ggenNameFault(input: string): string | undefined {
  if (input.length === 0) return 'it is empty'
  if (input.length > LIMITS.names.nameChars) return `it has more than ${LIMITS.names.nameChars} characters`
  const strange = strangeIn(input)
  if (strange !== undefined) return strange
  if (!GGEN_NAME.test(input)) return 'use a-z and 0-9, joined by single ".", "_" or "-"'
  if (RESERVED.test(input)) return 'some file systems reserve it'
  return undefined
}

/** @throws RegistryError INVALID_NAME */
export function parsePackageName(input: string): PackageName {
  const slash = input.indexOf('/')
  const ecosystem = input.slice(0, Math.max(slash, 0))
  if (!isEcosystem(ecosystem)) {
    throw new RegistryError('INVALID_NAME', `${quoted(input)} does not begin with an ecosystem and a slash`)
  }
  const rest = input.slice(slash + 1)
  if (ecosystem === 'ggen') parseGgenName(rest)
  else if (
    rest.length > LIMITS.names.nameChars ||
    !/^(?:@?[a-z0-9][a-z0-9._-]*)(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(rest)
  ) {
    const strange = strangeIn(rest)
    throw new RegistryError(
      'INVALID_NAME',
      `${quoted(input)} is not a package name${strange === undefined ? '' : `: ${strange}`}`
    )
  }
  return input as PackageName
}

export function isEcosystem(text: string): text is Ecosystem {
  return (ECOSYSTEMS as readonly string[]).includes(text)
}

export function packageNameOf(ecosystem: Ecosystem, name: string): PackageName {
  return parsePackageName(`${ecosystem}/${name}`)
}

export function ecosystemOf(name: PackageName): Ecosystem {
  const ecosystem = name.slice(0, name.indexOf('/'))
  return isEcosystem(ecosystem) ? ecosystem : 'ggen'
}

/** `advanced-rust-project` of `ggen/advanced-rust-project`. */
export function shortNameOf(name: PackageName): string {
  return name.slice(name.indexOf('/') + 1)
}
