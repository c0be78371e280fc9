import { factIdFromLink, toLink } from './cid.ts'
import type { FactId } from './cid.ts'
import type { CitedAuthority } from './document/cited.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { parseFactIds, parseReason, text } from './payload-shape.ts'
import { parseSemver } from './version.ts'
import type { Version } from './version.ts'

/** Stops one version for now: nobody resolves to it, and nobody who honours it sends its bytes. */
export interface Quarantine {
  readonly version: Version
  readonly reason: string
  readonly authority: CitedAuthority
}

export interface Unquarantine {
  readonly version: Version
  /** Those that it lifts: a version is stopped while a counted quarantine is not lifted, whatever the clocks say. */
  readonly quarantines: readonly FactId[]
  readonly authority: CitedAuthority
}

export type QuarantinePayload =
  | { readonly type: 'quarantine'; readonly value: Quarantine }
  | { readonly type: 'unquarantine'; readonly value: Unquarantine }

export function quarantineRecord({ type, value }: QuarantinePayload): unknown {
  const { registry, package: own } = value.authority
  const authority = { registry: toLink(registry), package: toLink(own) }
  if (type === 'quarantine') return { ...value, authority }
  return { ...value, quarantines: value.quarantines.map(toLink), authority }
}

/** @throws RegistryError MALFORMED | INVALID_VERSION */
export function parseQuarantinePayload(type: QuarantinePayload['type'], raw: unknown): QuarantinePayload {
  if (type === 'quarantine') {
    const record = recordOf(raw, ['version', 'reason', 'authority'])
    const reason = parseReason(record.reason)
    const version = parseSemver(text(record.version))
    return { type, value: { version, reason, authority: parseCited(record.authority) } }
  }
  const record = recordOf(raw, ['version', 'quarantines', 'authority'])
  const quarantines = parseFactIds(record.quarantines, LIMITS.fact.yanksPerUnyank)
  const version = parseSemver(text(record.version))
  return { type, value: { version, quarantines, authority: parseCited(record.authority) } }
}

function parseCited(raw: unknown): CitedAuthority {
  const record = recordOf(raw, ['registry', 'package'])
  return { registry: factIdFromLink(record.registry), package: factIdFromLink(record.package) }
}
