import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Lock } from './lock-format.ts'

/** One line of a project file: a package and a range. */
export interface Want {
  /** As it is written in the file; the key that an edit must find again. */
  readonly key: string
  /** Undefined: the registry that the project's plain names mean. */
  readonly alias: string | undefined
  readonly name: PackageName
  /** A range in the words of the person who wrote it; `*` for any. */
  readonly range: string
}

/** What a project wants, as it is written down: `.ggen/project.toml`, or the `[packs]` table of `ggen.toml`. */
export interface ProjectFile {
  readonly wants: readonly Want[]
  /** Ranges that hold for a name in the whole tree, whoever asks for it. */
  readonly overrides: readonly Want[]
}

/** What has become of a wish: a new range, or undefined for none any more. */
export interface WantChange {
  readonly key: string
  readonly range: string | undefined
}

/** What a command writes down when all is in its place; what is the same already is not written. */
export interface Writing {
  readonly wants: readonly WantChange[]
  readonly lock: Lock | undefined
}

/** Work that was begun: after a crash the next install knows its own doing from somebody's edits. */
export interface Journal {
  /** Paths below the project, and the content that may lie there. */
  readonly packs: readonly { readonly path: string; readonly cid: ContentId }[]
  /** `syncing`: all is done, and the disk is still being waited for. */
  readonly state: 'interrupted' | 'none' | 'syncing'
  /** The system went down since: what was placed may have lost bytes, and whatever differs there is no edit. */
  readonly mayBeTorn: boolean
}

/** What an install put into one folder. */
export interface PlacedFolder {
  readonly path: string
  readonly cid: ContentId
  /** Files and their content ids, where they are known. */
  readonly files: ReadonlyMap<string, string> | undefined
}

/** What is in a package's place now. */
export type FolderState =
  | { readonly type: 'missing' }
  | { readonly type: 'folder'; readonly root: ContentId }
  /** A link, a file, or a folder that no package could be. */
  | { readonly type: 'strange'; readonly why: string }

/** How a folder differs from what was installed. */
export interface FolderChanges {
  readonly modified: readonly string[]
  readonly missing: readonly string[]
  readonly extra: readonly string[]
}

/** The files of one project folder. */
export interface ProjectStore {
  readonly folder: string
  /** Equal twice: no command has changed anything in between. */
  stamp(): Promise<string>
  readProject(): Promise<ProjectFile>
  /** Whether these changes make another project file of the one that is there. Writes nothing. */
  changesWants(changes: readonly WantChange[]): Promise<boolean>
  readLock(): Promise<Lock>
  /** Replaces project file and lock durably, in that order. */
  writeDown(writing: Writing): Promise<void>
  readJournal(): Promise<Journal>
  writeJournal(packs: Journal['packs']): Promise<void>
  /** All is in its place. The journal goes when it is on the disk too, which is not waited for. */
  finish(): Promise<void>
  /** Waits until what this process placed here is on the disk. */
  synced(): Promise<void>
  /** Everything that earlier installs put here, as far as is known. */
  placed(): Promise<ReadonlyMap<string, PlacedFolder>>
  /** Remembers what was put where, so that the next install need not read it. May be lost. */
  remember(placed: readonly PlacedFolder[], forgotten: readonly string[]): Promise<void>
  /** What is in a package's place; reads files only where their times say that they may have changed. */
  inspect(path: string, signal: AbortSignal): Promise<FolderState>
  /** The same, reading every file. */
  read(path: string, signal: AbortSignal): Promise<FolderState>
  /** How a folder differs from these files. */
  compare(path: string, files: ReadonlyMap<string, string>, signal: AbortSignal): Promise<FolderChanges>
  /** Clears up what a crash left beside these. */
  recover(paths: readonly string[]): Promise<void>
  /** Takes a package away, in one step as others see it. */
  remove(path: string): Promise<void>
  /** Refuses a project whose folders lead elsewhere. */
  assertOwnFolders(paths: readonly string[]): Promise<void>
  /** Does work that nobody else does in this project at the same time. */
  exclusively<T>(work: () => Promise<T>, options: ExclusiveOptions): Promise<T>
}

export interface ExclusiveOptions {
  readonly signal: AbortSignal
  /** Told once when another command has to end first. */
  readonly onWait: (holder: string) => void
}

/** A registry as a project names it. */
export interface ProjectRegistry {
  readonly id: RegistryId
  readonly alias: string
}
