import type { RegistryId } from '../../../protocol/cid.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Lock } from './lock-format.ts'

/** One wish of a project: a package of a registry, in a range. */
export interface Want {
  /** The alias as it was written; undefined for the default registry. */
  readonly alias: string | undefined
  readonly name: PackageName
  /** A range in the words of the person who wrote it; `*` for any. */
  readonly range: string
}

/** What a project wants, as it is written down: `.ggen/project.toml`, or the `[packs]` table of `ggen.toml`. */
export interface ProjectFile {
  readonly wants: readonly Want[]
  /** Ranges that hold for a name in the whole tree, whoever asks for it. */
  readonly overrides: ReadonlyMap<PackageName, string>
}

/** The files of one project folder. */
export interface ProjectStore {
  readonly folder: string
  readProject(): Promise<ProjectFile>
  /** Adds, changes or (with `null`) removes wishes, and leaves the rest of the file as it is. */
  changeWants(changes: readonly (Want | { readonly remove: Pick<Want, 'alias' | 'name'> })[]): Promise<void>
  readLock(): Promise<Lock>
  /** Replaces the lock durably; byte-equal text is not written. */
  writeLock(lock: Lock): Promise<void>
  /** Content roots that an install has begun to place and may have placed: not somebody's edits. */
  readJournal(): Promise<ReadonlySet<string>>
  writeJournal(roots: readonly string[]): Promise<void>
  clearJournal(): Promise<void>
}

/** A registry as the project names it. */
export interface ProjectRegistry {
  readonly id: RegistryId
  readonly alias: string
  readonly isDefault: boolean
}
