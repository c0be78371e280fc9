import type { AttestationRecord } from '../../../protocol/attest/read-model.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import type { Filed, SigningParams } from '../authority/methods.ts'
import type { NamedKey } from '../publisher/named-key.ts'

/** A release, and where it was looked up. */
export interface ShownRelease {
  readonly name: PackageName
  readonly version: Version
  readonly registry: RegistryId
  readonly alias: string
  readonly cid: ContentId
  /** Of the canonical archive, in hexadecimal. */
  readonly sha256: string
}

/** What was signed. */
export interface Attested {
  readonly release: ShownRelease
  /** Where it was said. */
  readonly registry: RegistryId
  readonly alias: string
  readonly fact: FactId
  readonly predicateType: string
  readonly signers: readonly Principal[]
  /** Where the predicate is content of its own. */
  readonly content: ContentId | null
  /** False: the registry said it before, and nothing was signed. */
  readonly isNew: boolean
  /** Of an audit that passes: what its author found to be bad before, and has not taken back by it. */
  readonly standing: readonly StandingFailure[]
}

/** An audit that failed, by the key which passes the same now, and which that does not take back. */
export interface StandingFailure {
  readonly registry: RegistryId
  readonly alias: string
  readonly fact: FactId
  /** False: it was said with a chain of another data directory. */
  readonly isOfThisDirectory: boolean
}

/** What somebody's word may be taken for. */
export const TRUST_PURPOSES = ['audits', 'reviews', 'advisories'] as const
export type TrustPurpose = (typeof TRUST_PURPOSES)[number]

/** Somebody whose word is taken: a registry by its id, or a key. */
export interface Trusted {
  readonly purpose: TrustPurpose
  readonly who: string
  /** Of a registry that is followed. */
  readonly alias: string | null
  readonly time: number
}

/** One statement, with the alias of its registry, and what its registry or its issuer is trusted for. */
export interface ShownAttestation extends AttestationRecord {
  readonly alias: string
  /** That names the issuer as its own. */
  readonly domain: string | null
  /** The same, and how long ago the domain said so. */
  readonly publisher: NamedKey | null
  readonly trusted: readonly TrustPurpose[]
}

export interface VerifiedEnvelope {
  readonly predicateType: string
  readonly subjects: readonly { readonly name: string | null; readonly sha256: string | null }[]
  /** Keys whose signatures hold. */
  readonly signers: readonly Principal[]
  /** What they are shown as, where a domain names them. */
  readonly publishers: readonly NamedKey[]
  /** Signatures of which nobody here can say whose they are. */
  readonly unknown: number
  /** Releases that are known here and are what it is about. */
  readonly releases: readonly ShownRelease[]
  readonly summary: AttestationRecord['summary']
}

export interface VerifiedArchive {
  /** Of the file as it is, in hexadecimal. */
  readonly sha256: string
  readonly bytes: number
  readonly files: number
  /** The one folder in it that holds everything else, if there is one. What follows is about that. */
  readonly inside: string | null
  readonly cid: ContentId
  /** Of the canonical archive of these files: the one that statements name. */
  readonly canonicalSha256: string
  /** The file is that archive, byte for byte. */
  readonly isCanonical: boolean
  /** Null: without a manifest that can be read. */
  readonly name: PackageName | null
  readonly version: Version | null
  /** Releases that are known here and are made of exactly these files. */
  readonly releases: readonly ShownRelease[]
  readonly attestations: readonly ShownAttestation[]
  /** Files that no package holds. With any, it is no release. */
  readonly leftOut: readonly string[]
}

/** The calls about what people say of releases. */
export interface AttestMethods {
  /**
   * Says something of a release: a predicate in a file, or an envelope that was signed elsewhere. `registry`: where it is said;
   * without one, where the release is.
   */
  attest: {
    params: SigningParams & {
      reference: string
      registry?: string
      type?: string
      predicate?: string
      envelope?: string
      signers?: readonly string[]
    }
    result: Attested & Filed
  }
  /** Everything that any registry that is followed says of a release. */
  attestations: {
    params: { reference: string; type?: string; out?: string }
    result: {
      readonly release: ShownRelease
      readonly attestations: readonly ShownAttestation[]
      /** Envelopes that were written to the folder `out`, byte for byte as they were signed, and predicates that are content. */
      readonly files: readonly string[]
    }
  }
  /** The same, with each signature checked again from the bytes on the disk. */
  verifyRelease: {
    params: { reference: string }
    result: {
      readonly release: ShownRelease
      readonly by: Principal
      /** What the one who released it is shown as. */
      readonly publishers: readonly NamedKey[]
      readonly facts: number
      readonly signatures: number
      readonly attestations: readonly ShownAttestation[]
    }
  }
  /** An envelope in a file: whose signatures hold, and what it is about. */
  verifyEnvelope: { params: { file: string; signers?: readonly string[] }; result: VerifiedEnvelope }
  /** A package folder: what it is, and whether a release is made of exactly these bytes. */
  verifyFolder: {
    params: { folder: string }
    result: {
      readonly cid: ContentId
      readonly sha256: string
      readonly name: PackageName
      readonly version: Version
      readonly releases: readonly ShownRelease[]
      readonly attestations: readonly ShownAttestation[]
    }
  }
  /** An archive that somebody made of a package: what is in it, and whether a release is made of exactly that. */
  verifyArchive: { params: { file: string }; result: VerifiedArchive }
  /** An audit, said in the auditor's own registry unless another one is named. `from`: only what changed since that version. */
  audit: {
    params: SigningParams & {
      reference: string
      criteria: readonly string[]
      registry?: string
      from?: string
      failed: boolean
      notes?: string
      report?: string
    }
    result: Attested & Filed
  }
  /** Takes the word of a registry that is followed, or of a key, for something. */
  trustAdd: { params: { what: string; purpose: string }; result: Trusted & { readonly isNew: boolean } }
  trustRemove: { params: { what: string; purpose: string }; result: Trusted & { readonly wasThere: boolean } }
  trustList: {
    params: Record<string, never>
    /** `publisher`: what a key is shown as, where a domain names it. */
    result: readonly (Trusted & { readonly publisher: NamedKey | null })[]
  }
  /** A bill of materials of a release and what it needs, as the bytes of a document. */
  sbom: {
    params: { reference: string; format: string }
    result: { readonly release: ShownRelease; readonly format: string; readonly document: string }
  }
}
