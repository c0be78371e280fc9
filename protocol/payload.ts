import { decodeCbor, encodeCbor } from './cbor.ts'
import { contentIdFromLink, factIdFromLink, toLink } from './cid.ts'
import type { ContentId, FactId } from './cid.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import type { FactBody } from './fact.ts'
import { LIMITS } from './limits.ts'
import { parseManifestRecord, toManifestRecord } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { textFault } from './manifest-text.ts'
import { shortNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { isRole, parseScope } from './role.ts'
import type { Role, Scope } from './role.ts'
import { parseSemver } from './version.ts'
import type { Version } from './version.ts'

/** The heads a fact about a package was made under: what its author could see of who may do what. */
export interface CitedAuthority {
  readonly registry: FactId
  readonly package: FactId
}

export interface Genesis {
  readonly name: string
  readonly roots: readonly Principal[]
  readonly threshold: number
  readonly recovery: Principal
  readonly admission: 'open' | 'curated'
  readonly visibility: 'public' | 'private'
  /** 16 random bytes in hex: two registries of one name and owner are still two registries. */
  readonly nonce: Uint8Array
}

export interface Grant {
  readonly authPrev: FactId
  readonly key: Principal
  readonly role: Role
  readonly scope: Scope
  readonly expires: number | null
}

export interface Claim {
  readonly authPrev: FactId
  readonly keys: readonly Principal[]
  readonly threshold: number
}

/** What other clients know the same files by: digests of the canonical archive (docs/spec/content.md). */
export interface ArchiveDigests {
  readonly sha256: Uint8Array
  readonly sha512: Uint8Array
  readonly archiveBytes: number
}

/** What a version is made of. Two releases of one version agree when these are byte-equal. */
export interface ReleaseContent {
  readonly manifest: Manifest
  readonly root: ContentId
  /** Sum of the files' sizes in bytes: a fetch stops there. */
  readonly size: number
  readonly digests: ArchiveDigests
}

export interface Release extends ReleaseContent {
  readonly version: Version
  readonly authority: CitedAuthority
}

export interface Yank {
  readonly version: Version
  readonly reason: string
  readonly authority: CitedAuthority
}

export interface Unyank {
  readonly version: Version
  /** The yanks it takes back: a version is yanked while a counted yank is not taken back, whatever the clocks say. */
  readonly yanks: readonly FactId[]
  readonly authority: CitedAuthority
}

/** A payload beside the name of its type. */
export type Payload =
  | { readonly type: 'genesis'; readonly value: Genesis }
  | { readonly type: 'grant'; readonly value: Grant }
  | { readonly type: 'claim'; readonly value: Claim }
  | { readonly type: 'release'; readonly value: Release }
  | { readonly type: 'yank'; readonly value: Yank }
  | { readonly type: 'unyank'; readonly value: Unyank }

/** Deterministic dag-cbor of a payload, as it goes into a body. */
export function encodePayload(payload: Payload): Uint8Array {
  return encodeCbor(toRecord(payload))
}

function toRecord({ type, value }: Payload): unknown {
  switch (type) {
    case 'genesis':
      return value
    case 'grant':
    case 'claim':
      return { ...value, authPrev: toLink(value.authPrev) }
    case 'release':
      return { ...contentRecord(value), version: value.version, authority: authorityRecord(value.authority) }
    case 'yank':
      return { ...value, authority: authorityRecord(value.authority) }
    case 'unyank':
      return { ...value, yanks: value.yanks.map(toLink), authority: authorityRecord(value.authority) }
  }
}

/** Every fold of a package asks for the bytes of all its releases; a release never changes once it is read. */
const encodedContents = new WeakMap<ReleaseContent, Uint8Array>()

/** The canonical bytes that decide whether two releases of one version are the same. */
export function encodeContent(content: ReleaseContent): Uint8Array {
  const known = encodedContents.get(content)
  if (known !== undefined) return known
  const bytes = encodeCbor(contentRecord(content))
  encodedContents.set(content, bytes)
  return bytes
}

function contentRecord({ manifest, root, size, digests }: ReleaseContent): Record<string, unknown> {
  return { manifest: toManifestRecord(manifest), root: toLink(root), size, digests: { ...digests } }
}

function authorityRecord(authority: CitedAuthority): unknown {
  return { registry: toLink(authority.registry), package: toLink(authority.package) }
}

/**
 * The payload of a body whose signature was verified. Everything here depends on the bytes alone.
 * @throws RegistryError MALFORMED
 */
export function parsePayload(body: FactBody): Payload {
  const raw = decodeCbor(body.payload, LIMITS.fact.cborDepth)
  try {
    switch (body.type) {
      case 'genesis':
        return { type: 'genesis', value: parseGenesis(raw, body) }
      case 'grant':
        return { type: 'grant', value: parseGrant(raw) }
      case 'claim':
        return { type: 'claim', value: parseClaim(raw) }
      case 'release':
        return { type: 'release', value: parseRelease(raw, body) }
      case 'yank':
        return { type: 'yank', value: parseYank(raw) }
      case 'unyank':
        return { type: 'unyank', value: parseUnyank(raw) }
    }
  } catch (cause) {
    if (cause instanceof RegistryError && cause.code === 'MALFORMED') throw cause
    throw new RegistryError('MALFORMED', `the payload of a ${body.type} does not have its shape`, { cause })
  }
}

const REGISTRY_NAME = /^[a-z0-9]+(?:[.-][a-z0-9]+)*$/

/** Why a text can't name a registry, or undefined when it can. */
export function registryNameFault(name: string): string | undefined {
  if (name.length > LIMITS.names.registryNameChars)
    return `it has more than ${LIMITS.names.registryNameChars} characters`
  return REGISTRY_NAME.test(name) ? undefined : 'use a-z and 0-9, joined by single "." or "-"'
}

function parseGenesis(raw: unknown, body: FactBody): Genesis {
  const record = recordOf(raw, ['name', 'roots', 'threshold', 'recovery', 'admission', 'visibility', 'nonce'])
  const { name, admission, visibility, nonce } = record
  if (typeof name !== 'string' || registryNameFault(name) !== undefined) throw malformed('name')
  if (admission !== 'open' && admission !== 'curated') throw malformed('admission')
  if (visibility !== 'public' && visibility !== 'private') throw malformed('visibility')
  if (!(nonce instanceof Uint8Array) || nonce.length !== 16) throw malformed('nonce')
  const roots = parseKeys(record.roots)
  if (!roots.includes(body.author)) throw malformed('author: a genesis is signed by one of its roots')
  const threshold = parseCount(record.threshold, 1, roots.length)
  return { name, roots, threshold, recovery: parsePrincipal(text(record.recovery)), admission, visibility, nonce }
}

function parseGrant(raw: unknown): Grant {
  const record = recordOf(raw, ['authPrev', 'key', 'role', 'scope', 'expires'])
  const { role, expires } = record
  if (!isRole(role)) throw malformed('role')
  return {
    authPrev: factIdFromLink(record.authPrev),
    key: parsePrincipal(text(record.key)),
    role,
    scope: parseScope(text(record.scope)),
    expires: expires === null ? null : parseCount(expires, 0, Number.MAX_SAFE_INTEGER)
  }
}

function parseClaim(raw: unknown): Claim {
  const record = recordOf(raw, ['authPrev', 'keys', 'threshold'])
  const keys = parseKeys(record.keys)
  return { authPrev: factIdFromLink(record.authPrev), keys, threshold: parseCount(record.threshold, 1, keys.length) }
}

function parseRelease(raw: unknown, body: FactBody): Release {
  const record = recordOf(raw, ['version', 'manifest', 'root', 'size', 'digests', 'authority'])
  const manifest = parseManifestRecord(record.manifest)
  const version = parseSemver(text(record.version))
  // Attack: a record that says one name or version and content that says another.
  if (manifest.version !== version || manifest.name !== shortNameOf(body.subject as PackageName))
    throw malformed('manifest')
  return {
    version,
    manifest,
    root: contentIdFromLink(record.root),
    size: parseCount(record.size, 0, LIMITS.content.packageBytes),
    digests: parseDigests(record.digests),
    authority: parseAuthority(record.authority)
  }
}

function parseYank(raw: unknown): Yank {
  const record = recordOf(raw, ['version', 'reason', 'authority'])
  const reason = text(record.reason)
  // Attack: a reason is printed on terminals. Controls and bidi overrides must not get there, and empty means none given.
  if (reason !== '' && textFault(reason, LIMITS.fact.reasonChars) !== undefined) throw malformed('reason')
  return { version: parseSemver(text(record.version)), reason, authority: parseAuthority(record.authority) }
}

function parseUnyank(raw: unknown): Unyank {
  const record = recordOf(raw, ['version', 'yanks', 'authority'])
  const yanks = record.yanks
  if (!Array.isArray(yanks) || yanks.length === 0 || yanks.length > LIMITS.fact.yanksPerUnyank) throw malformed('yanks')
  const ids = yanks.map(factIdFromLink)
  if (!ids.every((id, i) => i === 0 || (ids[i - 1] ?? '') < id)) throw malformed('yanks: sorted and distinct')
  return {
    version: parseSemver(text(record.version)),
    yanks: ids,
    authority: parseAuthority(record.authority)
  }
}

function parseDigests(raw: unknown): ArchiveDigests {
  const { sha256, sha512, archiveBytes } = recordOf(raw, ['sha256', 'sha512', 'archiveBytes'])
  if (!(sha256 instanceof Uint8Array) || sha256.length !== 32) throw malformed('sha256')
  if (!(sha512 instanceof Uint8Array) || sha512.length !== 64) throw malformed('sha512')
  return { sha256, sha512, archiveBytes: parseCount(archiveBytes, 0, Number.MAX_SAFE_INTEGER) }
}

function parseAuthority(raw: unknown): CitedAuthority {
  const record = recordOf(raw, ['registry', 'package'])
  return { registry: factIdFromLink(record.registry), package: factIdFromLink(record.package) }
}

/** Distinct keys in byte order: one spelling, and nobody is counted twice toward a threshold. */
function parseKeys(raw: unknown): readonly Principal[] {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > LIMITS.fact.keysPerList) throw malformed('keys')
  const keys = raw.map(key => parsePrincipal(text(key)))
  if (!keys.every((key, i) => i === 0 || (keys[i - 1] ?? '') < key)) throw malformed('keys: sorted and distinct')
  return keys
}

function parseCount(raw: unknown, min: number, max: number): number {
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw) || raw < min || raw > max) throw malformed('number')
  return raw
}

function text(raw: unknown): string {
  if (typeof raw !== 'string') throw malformed('text')
  return raw
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `a payload does not have its shape: ${what}`)
}

/** The keys a payload names: admitted (attestation/keys.ts) before the fact is, and able to author facts after it. */
export function namedKeys(payload: Payload): readonly Principal[] {
  switch (payload.type) {
    case 'genesis':
      return [...payload.value.roots, payload.value.recovery]
    case 'grant':
      return [payload.value.key]
    case 'claim':
      return payload.value.keys
    case 'release':
    case 'yank':
    case 'unyank':
      return []
  }
}
