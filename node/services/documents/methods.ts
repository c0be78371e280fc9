import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { FactStatus } from '../../../protocol/document/document.ts'
import type { DocumentValue, Path } from '../../../protocol/document/edits.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Filed, SigningParams } from '../authority/methods.ts'
import type { NamedKey } from '../publisher/named-key.ts'

/** One edit as a caller orders it: the value is null exactly when `op` is `delete`. */
export interface EditOrder {
  readonly op: 'put' | 'delete'
  readonly path: Path
  readonly value: DocumentValue | null
}

/**
 * All that a field shall hold: what it holds beyond that is deleted. The path of each entry begins with the field; a
 * plain field such as the title has one entry of one segment, or none.
 */
export interface WholeField {
  readonly field: string
  readonly entries: readonly { readonly path: Path; readonly value: DocumentValue }[]
}

/** What one key of a document held before an edit, and holds after it. */
export interface DocumentChange {
  readonly path: Path
  /** Empty when the key was not there; several when it was in conflict. */
  readonly from: readonly DocumentValue[]
  /** Null when the key is gone. */
  readonly to: DocumentValue | null
}

/** Who said a value, in which statement, and when according to him. */
export interface SaidValue {
  readonly value: DocumentValue
  readonly by: Principal
  readonly time: number
  readonly fact: FactId
}

/** One key with several different values; the first is the one that is shown elsewhere. Saying one of them anew settles it. */
export interface DocumentConflict {
  readonly path: Path
  readonly values: readonly SaidValue[]
}

/** What a signed change did to a document. */
export interface DocumentEdited extends Filed {
  readonly registry: RegistryId
  readonly alias: string
  /** Null when the document already was as asked. */
  readonly fact: FactId | null
  /** By key. */
  readonly changed: readonly DocumentChange[]
  /** Keys whose conflict this settled. */
  readonly settled: readonly Path[]
  /** What the person should know, in words. */
  readonly notes: readonly string[]
}

/** The document of a package, as `show` has it. */
export interface ShownDocument {
  readonly title: string | null
  readonly description: string | null
  readonly keywords: readonly string[]
  readonly categories: readonly string[]
  readonly links: Readonly<Record<string, string>>
  readonly tags: readonly {
    readonly tag: string
    readonly version: string
    /** `conflict`: several versions are said, or the version itself is in conflict. */
    readonly state: 'ok' | 'conflict' | 'unknown-version'
  }[]
  readonly deprecated: readonly { readonly range: string; readonly text: string }[]
  readonly maintainers: readonly { readonly key: string; readonly name: string }[]
  readonly conflicts: readonly DocumentConflict[]
  /** Statements that it is made of. */
  readonly edits: number
  readonly heads: readonly string[]
}

/** One statement about a document. */
export interface HistoryEntry {
  readonly fact: FactId
  readonly by: Principal
  readonly time: number
  readonly status: FactStatus
  /** Empty in a rollover. */
  readonly edits: readonly EditOrder[]
  readonly epoch: FactId | null
}

/** A set of packages that are installed together. */
export interface ShownBundle {
  readonly name: string
  readonly title: string
  /** The lowest score that a member should have; kept and shown, not enforced. */
  readonly minScore: number | null
  /** By name; the range `*` means that none was said. */
  readonly members: readonly { readonly name: PackageName; readonly range: string }[]
  readonly conflicts: readonly DocumentConflict[]
}

/** What is changed in the catalogue of that registry, else of the default one. */
export interface CatalogueParams extends SigningParams {
  readonly registry?: string
}

/** The calls about documents: of packages, and the catalogue of a registry. */
export interface DocumentMethods {
  /** Takes either `edits` or `whole`, not both. A field in `whole` that is not a field of a package is INVALID_EDIT. */
  edit: {
    params: SigningParams & {
      /** [registry:]name, without a range. */
      readonly reference: string
      readonly edits: readonly EditOrder[]
      readonly whole?: readonly WholeField[]
    }
    result: DocumentEdited & { readonly name: PackageName }
  }
  /** An owner folds the history of a package's document, or without `reference` of the catalogue, and begins a new one. */
  rollover: {
    params: CatalogueParams & { readonly reference?: string }
    result: Filed & {
      /** Null for the catalogue. */
      readonly name: PackageName | null
      readonly registry: RegistryId
      readonly alias: string
      /** Null when there was nothing to fold. */
      readonly fact: FactId | null
      /** Statements that became part of the base. */
      readonly folded: number
      readonly notes: readonly string[]
    }
  }
  /** Null when nobody said anything about the package. */
  document: {
    params: { readonly reference: string }
    result: {
      readonly name: PackageName
      readonly registry: RegistryId
      readonly alias: string
      readonly document: ShownDocument | null
      /** What those are shown as that a domain names, of who contradict each other and of the maintainers. */
      readonly publishers: readonly NamedKey[]
    }
  }
  /** The newest statements about the document of a package, newest first. */
  history: {
    params: { readonly reference: string; readonly limit: number }
    result: {
      readonly name: PackageName
      readonly registry: RegistryId
      readonly alias: string
      readonly entries: readonly HistoryEntry[]
      /** How many there are, beyond the limit too. */
      readonly total: number
      readonly publishers: readonly NamedKey[]
    }
  }
  /** Says a bundle, or title and score of one that is there anew. Without `minScore` the score stays as it is. */
  bundleCreate: {
    params: CatalogueParams & { readonly name: string; readonly title: string; readonly minScore?: number }
    result: DocumentEdited & { readonly name: string }
  }
  /** `members` are references, of the bundle's own registry, with or without a range. @throws RegistryError UNKNOWN_ENTRY */
  bundleAdd: {
    params: CatalogueParams & { readonly name: string; readonly members: readonly string[] }
    result: DocumentEdited & { readonly name: string }
  }
  /** Without `members` the bundle itself goes, with everything in it. @throws RegistryError UNKNOWN_ENTRY */
  bundleRemove: {
    params: CatalogueParams & { readonly name: string; readonly members: readonly string[] }
    result: DocumentEdited & { readonly name: string }
  }
  /** By name; with `name` that one. @throws RegistryError UNKNOWN_ENTRY when it is not there */
  bundleList: {
    params: { readonly registry?: string; readonly name?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly bundles: readonly ShownBundle[]
      readonly publishers: readonly NamedKey[]
    }
  }
  /** Says a category, or says it anew with another description. */
  categoryAdd: {
    params: CatalogueParams & { readonly name: string; readonly description?: string }
    result: DocumentEdited & { readonly name: string }
  }
  /** @throws RegistryError UNKNOWN_ENTRY */
  categoryRemove: {
    params: CatalogueParams & { readonly name: string }
    result: DocumentEdited & { readonly name: string }
  }
  categoryList: {
    params: { readonly registry?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly categories: readonly { readonly name: string; readonly description: string }[]
      readonly conflicts: readonly DocumentConflict[]
      readonly publishers: readonly NamedKey[]
    }
  }
  announce: {
    params: CatalogueParams & { readonly text: string }
    /** `id` names the announcement from then on. */
    result: DocumentEdited & { readonly id: string }
  }
  /** @throws RegistryError UNKNOWN_ENTRY */
  announceRemove: {
    params: CatalogueParams & { readonly id: string }
    result: DocumentEdited & { readonly id: string }
  }
  /** Newest first. */
  announceList: {
    params: { readonly registry?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly announcements: readonly {
        readonly id: string
        readonly text: string
        readonly by: Principal
        readonly time: number
      }[]
      readonly publishers: readonly NamedKey[]
    }
  }
}
