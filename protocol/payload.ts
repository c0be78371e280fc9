import { advisoryRecord, parseAdvisory } from './advisory/payload.ts'
import type { Advisory } from './advisory/payload.ts'
import { attestationRecord, parseAttestation } from './attest/payload.ts'
import type { Attestation } from './attest/payload.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { contentIdFromLink, factIdFromLink, toLink } from './cid.ts'
import type { ContentId, FactId } from './cid.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import type { CitedAuthority } from './document/cited.ts'
import { metadataRecord, parseMetadata } from './document/payload.ts'
import type { Metadata } from './document/payload.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import type { FactBody } from './fact.ts'
import { LIMITS } from './limits.ts'
import { parseManifestRecord, toManifestRecord } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { observationRecord, parseObservation } from './observation/payload.ts'
import type { Observation } from './observation/payload.ts'
import { shortNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { authorityPayloadRecord, parseAuthorityPayload } from './payload-authority.ts'
import type { AuthorityPayload, Claim, Cosign, Grant, Resolve, Revoke } from './payload-authority.ts'
import { invitePayloadRecord, parseInvitePayload } from './payload-invite.ts'
import type { Invite, InvitePayload, Redeem } from './payload-invite.ts'
import { parseQuarantinePayload, quarantineRecord } from './payload-quarantine.ts'
import type { QuarantinePayload } from './payload-quarantine.ts'
import { parseRegistryPolicy, registryPolicyRecord } from './payload-policy.ts'
import type { RegistryPolicy } from './payload-policy.ts'
import { malformed, parseCount, parseFactIds, parseKeys, parseReason, text } from './payload-shape.ts'
import type { DigestSubject } from './subject.ts'
import { parseSemver } from './version.ts'
import type { Version } from './version.ts'

export type { CitedAuthority } from './document/cited.ts'

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
  | { readonly type: 'revoke'; readonly value: Revoke }
  | { readonly type: 'cosign'; readonly value: Cosign }
  | { readonly type: 'resolve'; readonly value: Resolve }
  | { readonly type: 'claim'; readonly value: Claim }
  | { readonly type: 'release'; readonly value: Release }
  | { readonly type: 'yank'; readonly value: Yank }
  | { readonly type: 'unyank'; readonly value: Unyank }
  | { readonly type: 'metadata'; readonly value: Metadata }
  | { readonly type: 'invite'; readonly value: Invite }
  | { readonly type: 'redeem'; readonly value: Redeem }
  | { readonly type: 'attestation'; readonly value: Attestation }
  | { readonly type: 'advisory'; readonly value: Advisory }
  | QuarantinePayload
  | { readonly type: 'policy'; readonly value: RegistryPolicy }
  | { readonly type: 'observation'; readonly value: Observation }

/** Deterministic dag-cbor of a payload, as it goes into a body. */
export function encodePayload(payload: Payload): Uint8Array {
  return encodeCbor(toRecord(payload))
}

function toRecord({ type, value }: Payload): unknown {
  switch (type) {
    case 'genesis':
      return value
    case 'grant':
    case 'revoke':
    case 'cosign':
    case 'resolve':
    case 'claim':
      return authorityPayloadRecord({ type, value } as AuthorityPayload)
    case 'release':
      return { ...contentRecord(value), version: value.version, authority: authorityRecord(value.authority) }
    case 'yank':
      return { ...value, authority: authorityRecord(value.authority) }
    case 'unyank':
      return { ...value, yanks: value.yanks.map(toLink), authority: authorityRecord(value.authority) }
    case 'metadata':
      return metadataRecord(value)
    case 'invite':
    case 'redeem':
      return invitePayloadRecord({ type, value } as InvitePayload)
    case 'attestation':
      return attestationRecord(value)
    case 'quarantine':
    case 'unquarantine':
      return quarantineRecord({ type, value } as QuarantinePayload)
    case 'advisory':
      return advisoryRecord(value)
    case 'policy':
      return registryPolicyRecord(value)
    case 'observation':
      return observationRecord(value)
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
      case 'revoke':
      case 'cosign':
      case 'resolve':
      case 'claim':
        return parseAuthorityPayload(body.type, raw, body.subject)
      case 'release':
        return { type: 'release', value: parseRelease(raw, body) }
      case 'yank':
        return { type: 'yank', value: parseYank(raw) }
      case 'unyank':
        return { type: 'unyank', value: parseUnyank(raw) }
      case 'metadata':
        return { type: 'metadata', value: parseMetadata(raw, body) }
      case 'invite':
      case 'redeem':
        return parseInvitePayload(body.type, raw, body.author)
      case 'attestation':
        return { type: 'attestation', value: parseAttestation(raw, body.subject as DigestSubject) }
      case 'quarantine':
      case 'unquarantine':
        return parseQuarantinePayload(body.type, raw)
      case 'advisory':
        return { type: 'advisory', value: parseAdvisory(raw, body.subject as PackageName) }
      case 'policy':
        return { type: 'policy', value: parseRegistryPolicy(raw) }
      case 'observation':
        return { type: 'observation', value: parseObservation(raw, body.time) }
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
  const reason = parseReason(record.reason)
  return { version: parseSemver(text(record.version)), reason, authority: parseAuthority(record.authority) }
}

function parseUnyank(raw: unknown): Unyank {
  const record = recordOf(raw, ['version', 'yanks', 'authority'])
  const ids = parseFactIds(record.yanks, LIMITS.fact.yanksPerUnyank)
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

/** The keys a payload names: admitted (attestation/keys.ts) before the fact is, and able to author facts after it. */
export function namedKeys(payload: Payload): readonly Principal[] {
  switch (payload.type) {
    case 'genesis':
      return [...payload.value.roots, payload.value.recovery]
    case 'grant':
    case 'invite':
    case 'redeem':
      return [payload.value.key]
    case 'claim':
      return payload.value.keys
    // A revoke takes a key away: nothing is ever verified under it because of that.
    case 'revoke':
    case 'cosign':
    case 'resolve':
    case 'release':
    case 'yank':
    case 'unyank':
    case 'metadata':
    case 'quarantine':
    case 'unquarantine':
    case 'advisory':
    case 'policy':
    case 'observation':
    // Whoever signed an envelope is heard through those who bring it, and by nothing else.
    case 'attestation':
      return []
  }
}

/**
 * The head of the registry's authority that a fact was made under: what its author could see of who may do what.
 * Undefined for a genesis, which is made under none.
 */
export function citedHead(payload: Payload): FactId | undefined {
  switch (payload.type) {
    case 'genesis':
      return undefined
    case 'grant':
    case 'revoke':
    case 'resolve':
      return payload.value.head ?? payload.value.authPrev
    case 'cosign':
      return payload.value.head
    case 'claim':
    case 'invite':
    case 'policy':
      return payload.value.authPrev
    case 'redeem':
      return payload.value.invite
    case 'attestation':
    case 'advisory':
    case 'observation':
      return payload.value.head
    case 'release':
    case 'yank':
    case 'unyank':
    case 'metadata':
    case 'quarantine':
    case 'unquarantine':
      return payload.value.authority.registry
  }
}
