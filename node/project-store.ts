import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { CID } from 'multiformats/cid'
import { RegistryError, isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { syncPackage } from '../storage/content/export-folder.ts'
import { discardFolder, recoverFolder } from '../storage/content/place-folder.ts'
import { codeOf, isDiskFull } from '../storage/disk-errors.ts'
import { isTemporary, replaceFile, writeAllDurably } from '../storage/durable.ts'
import { readSmallFile } from '../storage/small-file.ts'
import { NEW_PROJECT, GGEN_TABLES, OWN_TABLES, editProjectFile, hasPacks, parseProjectFile } from './project-file.ts'
import type { ProjectTables } from './project-file.ts'
import { dropJournal, formatJournal, parseJournal } from './project-journal.ts'
import { ProjectLocks } from './project-locks.ts'
import { lookAt, readFolder } from './project-folder.ts'
import { formatState, isPackPath, isUntouched, parseState, recordFolder } from './project-state.ts'
import type { FolderRecord, FolderRecords } from './project-state.ts'
import { EMPTY_LOCK, formatLock, parseLock } from './services/project/lock-format.ts'
import type { Lock } from './services/project/lock-format.ts'
import type {
  ExclusiveOptions,
  FolderChanges,
  FolderState,
  Journal,
  PlacedFolder,
  ProjectFile,
  ProjectStore,
  WantChange,
  Writing
} from './services/project/project.ts'

const LOCK = '.ggen/packs.lock'
const JOURNAL = '.ggen/.journal.json'
const STATE = '.ggen/.state.json'

/** Opens projects; commands of one process that work on the same folder take turns. */
export class Projects {
  readonly #locks = new ProjectLocks()
  readonly #syncing = new Map<string, Promise<void>>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  open(folder: string): ProjectStore {
    const path = resolve(folder)
    return new ProjectFolder(path, {
      locks: this.#locks,
      now: this.#now,
      synced: () => this.#syncing.get(path) ?? Promise.resolve(),
      later: work => {
        const all = Promise.all([this.#syncing.get(path), work]).then(() => {
          if (this.#syncing.get(path) === all) this.#syncing.delete(path)
        })
        this.#syncing.set(path, all)
      }
    })
  }

  /** Waits until what was installed is on the disk. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#syncing.values())
  }
}

interface ProjectContext {
  readonly locks: ProjectLocks
  readonly now: () => number
  /** Work that goes on when a command has its answer. */
  readonly later: (work: Promise<void>) => void
  readonly synced: () => Promise<void>
}

interface ProjectText {
  readonly path: string
  readonly text: string
}

interface Edited {
  readonly changes: readonly WantChange[]
  readonly tables: ProjectTables
  readonly text: string | undefined
  readonly after: string
}

/**
 * The files of one project:
 *
 *   .ggen/project.toml   what it wants, or the [packs] table of ggen.toml     \ belong into version control
 *   .ggen/packs.lock     which releases that is                                /
 *   .ggen/packages/      the packages
 *   .ggen/.journal.json  there until what an install placed is on the disk, or after one crashed
 *   .ggen/.state.json    times and sizes of what was put there: may be deleted at any time
 *   .ggen/.lock          there while a command works
 */
class ProjectFolder implements ProjectStore {
  readonly folder: string
  readonly #context: ProjectContext
  #records: Promise<FolderRecords> | undefined
  /** What the last edit made of which text: a command finds out first whether it changes anything. */
  #edited: Edited | undefined

  constructor(folder: string, context: ProjectContext) {
    this.folder = folder
    this.#context = context
  }

  async stamp(): Promise<string> {
    const files = [OWN_TABLES.file, GGEN_TABLES.file, LOCK, JOURNAL, STATE]
    const stats = await Promise.all(files.map(file => lstat(this.#path(file)).catch(() => undefined)))
    return stats.map(one => (one === undefined ? '-' : `${one.ino} ${one.size} ${one.mtimeMs} ${one.ctimeMs}`)).join()
  }

  async readProject(): Promise<ProjectFile> {
    const { text, tables } = await this.#projectFile()
    return parseProjectFile(text ?? '', tables)
  }

  async changesWants(changes: readonly WantChange[]): Promise<boolean> {
    return (await this.#edit(changes)) !== undefined
  }

  /** The project file as these changes make it; undefined when they change nothing. */
  async #edit(changes: readonly WantChange[]): Promise<ProjectText | undefined> {
    if (changes.length === 0) return undefined
    const { text, tables } = await this.#projectFile()
    const known = this.#edited
    const isKnown = known?.changes === changes && known.tables === tables && known.text === text
    const after = isKnown ? known.after : editProjectFile(text ?? NEW_PROJECT, tables, changes)
    this.#edited = { changes, tables, text, after }
    return after === text ? undefined : { path: tables.file, text: after }
  }

  async readLock(): Promise<Lock> {
    const text = await this.#read(LOCK, LIMITS.install.lockfileBytes)
    return text === undefined ? EMPTY_LOCK : parseLock(text)
  }

  async writeDown({ wants, lock }: Writing): Promise<void> {
    const files: ProjectText[] = []
    const edited = await this.#edit(wants)
    if (edited !== undefined) files.push(edited)
    const text = lock === undefined ? undefined : formatLock(lock)
    const isNew = text !== undefined && text !== (await this.#read(LOCK, LIMITS.install.lockfileBytes))
    // The wish before the lock: a crash between the two leaves a wish that the next install fulfils.
    if (isNew) files.push({ path: LOCK, text })
    const last = files.at(-1)
    if (last !== undefined) await this.#write(last.path, files)
  }

  async readJournal(): Promise<Journal> {
    return parseJournal(await this.#read(JOURNAL, LIMITS.project.journalBytes))
  }

  /** What an earlier journal says goes on being true until everything is done. */
  async writeJournal(packs: Journal['packs']): Promise<void> {
    const before = await this.readJournal()
    const all = new Map([...before.packs, ...packs].map(pack => [`${pack.path} ${pack.cid}`, pack]))
    await this.#write(JOURNAL, [{ path: JOURNAL, text: formatJournal([...all.values()], 'placing').text }])
  }

  async synced(): Promise<void> {
    await this.#context.synced()
    // Left by a process that was killed meanwhile: nobody waits for the disk on its behalf.
    const { packs, state } = await this.readJournal()
    if (state === 'syncing') await this.#settle(packs)
    await this.#context.synced()
  }

  async finish(): Promise<void> {
    const { packs, state } = await this.readJournal()
    if (state === 'interrupted') await this.#settle(packs)
  }

  async #settle(packs: Journal['packs']): Promise<void> {
    const path = this.#path(JOURNAL)
    const { text, nonce } = formatJournal(packs, 'syncing')
    await replaceFile(path, text)
    const synced = this.#sync(packs.map(pack => pack.path)).then(
      () => dropJournal(path, nonce),
      // What can't be synced may be lost: the journal stays, and says so after the next start of the system.
      () => undefined
    )
    this.#context.later(synced)
  }

  async #sync(paths: readonly string[]): Promise<void> {
    const records = await this.#known()
    for (const path of new Set(paths)) {
      const record = records.get(path)
      if (record === undefined) continue
      const directories = [...record.folders.keys()].filter(name => name !== '')
      await syncPackage(this.#path(path), { files: [...record.files.keys()], directories }).catch((error: unknown) => {
        // Replaced or removed meanwhile: then it is somebody else's to sync.
        if (codeOf(error) !== 'ENOENT') throw error
      })
    }
    await this.#vouch(paths)
  }

  /** What was too young to be told from what changed at once is old enough now. */
  async #vouch(paths: readonly string[]): Promise<void> {
    const at = this.#context.now()
    const records = new Map(await this.#known())
    for (const path of paths) {
      const record = records.get(path)
      if (record !== undefined && (await isUntouched(this.folder, path, { ...record, at })))
        records.set(path, { ...record, at })
    }
    // Into the file that is there: the command has its answer, and somebody may be deleting the project by now. Half of
    // it would be no JSON, which is as good as nothing.
    const file = await open(this.#path(STATE), constants.O_RDWR | (constants.O_NOFOLLOW ?? 0)).catch(() => undefined)
    if (file === undefined) return
    try {
      await file.truncate(0)
      await file.writeFile(formatState(records))
    } finally {
      await file.close()
    }
  }

  async placed(): Promise<ReadonlyMap<string, PlacedFolder>> {
    const records = await this.#known()
    return new Map(
      [...records].map(([path, { cid, files }]) => {
        return [path, { path, cid, files: new Map([...files].map(([file, { cid: id }]) => [file, id])) }]
      })
    )
  }

  async remember(placed: readonly PlacedFolder[], forgotten: readonly string[]): Promise<void> {
    const before = await this.#known()
    const after = new Map(before)
    for (const path of forgotten) after.delete(path)
    for (const one of placed) {
      const known = before.get(one.path)
      const isKnown = one.files === undefined && known?.cid === one.cid
      const record = isKnown ? known : await recordFolder(this.folder, one, this.#context.now())
      if (record === undefined) after.delete(one.path)
      else after.set(one.path, record)
    }
    await this.#writeState(after)
  }

  /** A memory aid: when it can't be written, or a power cut takes it, the next install reads files instead. */
  async #writeState(records: FolderRecords): Promise<void> {
    this.#records = Promise.resolve(records)
    const path = this.#path(STATE)
    const text = formatState(records)
    if (text.length > LIMITS.project.stateBytes) return
    try {
      await replaceFile(path, text)
    } catch {
      await rm(path, { force: true }).catch(() => undefined)
    }
  }

  async inspect(path: string, signal: AbortSignal): Promise<FolderState> {
    const record = (await this.#known()).get(path)
    const isKnown = record !== undefined && (await isUntouched(this.folder, path, record))
    return isKnown ? { type: 'folder', root: record.cid } : this.read(path, signal)
  }

  async read(path: string, signal: AbortSignal): Promise<FolderState> {
    const stats = lookAt(this.#path(path))
    if (stats === undefined) return { type: 'missing' }
    // A link to a folder is not the folder that was put there.
    if (!stats.isDirectory()) return { type: 'strange', why: 'it is not a folder' }
    return readFolder(this.#path(path), signal)
  }

  async compare(path: string, files: ReadonlyMap<string, string>, signal: AbortSignal): Promise<FolderChanges> {
    const found = new Map<string, string>()
    const onFile = (file: string, cid: CID): void => {
      found.set(file, cid.toString())
    }
    const state = await readFolder(this.#path(path), signal, onFile)
    if (state.type !== 'folder')
      return { modified: [], missing: [], extra: state.type === 'strange' ? [state.why] : [] }
    return {
      modified: [...found].filter(([file, cid]) => files.has(file) && files.get(file) !== cid).map(([file]) => file),
      missing: [...files.keys()].filter(file => !found.has(file)).toSorted(),
      extra: [...found.keys()].filter(file => !files.has(file))
    }
  }

  async recover(paths: readonly string[]): Promise<void> {
    for (const path of paths) await recoverFolder(this.#path(path))
    const names = await readdir(this.#path('.ggen')).catch(() => [])
    for (const name of names.filter(isTemporary)) await rm(this.#path(join('.ggen', name)), { force: true })
  }

  async remove(path: string): Promise<void> {
    await this.#writing(path, () => discardFolder(this.#path(path)))
    // Folders of a registry and an ecosystem go with the last package in them.
    for (let at = dirname(path); at.startsWith('.ggen/packages/'); at = dirname(at)) {
      await rmdir(this.#path(at)).catch(() => undefined)
    }
  }

  /** Attack: a repository brings `.ggen/packages` as a link, and what is installed lands wherever it leads. */
  async assertOwnFolders(paths: readonly string[]): Promise<void> {
    const folders = new Set(['.ggen', '.ggen/packages', '.ggen/receipts'])
    for (const path of paths) {
      if (!isPackPath(path))
        throw new RegistryError('HOSTILE_PATH', `${JSON.stringify(path)} is no place for a package`)
      for (let at = dirname(path); at.startsWith('.ggen/packages/'); at = dirname(at)) folders.add(at)
    }
    for (const folder of folders) {
      const stats = await lstat(this.#path(folder)).catch(() => undefined)
      if (stats === undefined || stats.isDirectory()) continue
      throw new RegistryError('HOSTILE_PATH', `${folder} is ${stats.isSymbolicLink() ? 'a link' : 'not a folder'}`, {
        tried: [`looked at ${this.#path(folder)}`],
        next: 'remove it, then run ggen-node install'
      })
    }
  }

  async exclusively<T>(work: () => Promise<T>, options: ExclusiveOptions): Promise<T> {
    // Before the first file is made in there, the lock included.
    await this.assertOwnFolders([])
    await this.#writing('.ggen', () => mkdir(this.#path('.ggen'), { recursive: true, mode: 0o755 }))
    const stamp = await this.stamp()
    return this.#context.locks.exclusively(
      this.#path('.ggen'),
      async () => {
        // Another command may have changed it while this one waited.
        if (stamp !== (await this.stamp())) this.#records = undefined
        return this.#writing('.ggen', work)
      },
      options
    )
  }

  #path(path: string): string {
    return join(this.folder, path)
  }

  #known(): Promise<FolderRecords> {
    this.#records ??= this.#readState()
    return this.#records
  }

  async #readState(): Promise<FolderRecords> {
    const text = await this.#read(STATE, LIMITS.project.stateBytes).catch(() => undefined)
    const records = new Map<string, FolderRecord>(text === undefined ? [] : parseState(text))
    const { packs, mayBeTorn } = await this.readJournal()
    // A power cut takes bytes and leaves times and sizes: what it may have hit has to be read.
    if (mayBeTorn) for (const { path } of packs) records.delete(path)
    return records
  }

  /** The one file of the two that says what the project wants. */
  async #projectFile(): Promise<{ readonly text: string | undefined; readonly tables: ProjectTables }> {
    const own = await this.#read(OWN_TABLES.file, LIMITS.project.fileBytes)
    const ggen = await this.#read(GGEN_TABLES.file, LIMITS.project.fileBytes)
    if (ggen === undefined || !hasPacks(ggen)) return { text: own, tables: OWN_TABLES }
    if (own === undefined) return { text: ggen, tables: GGEN_TABLES }
    throw new RegistryError('PROJECT_INVALID', 'both .ggen/project.toml and [packs] in ggen.toml say what is wanted', {
      next: 'keep one of them and delete the other'
    })
  }

  async #read(path: string, bound: number): Promise<string | undefined> {
    let bytes: Buffer
    try {
      // Only ggen.toml is the person's own: what lies in .ggen came with the repository, links to devices included.
      bytes = await readSmallFile(this.#path(path), { maxBytes: bound, followLinks: path === GGEN_TABLES.file })
    } catch (cause) {
      if (isRegistryError(cause)) throw cause
      if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return undefined
      throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read: ${messageOf(cause)}`, { cause })
    }
    return bytes.toString('utf8')
  }

  async #write(path: string, texts: readonly ProjectText[]): Promise<void> {
    await this.#writing(path, async () => {
      await mkdir(dirname(this.#path(path)), { recursive: true })
      await writeAllDurably(texts.map(one => ({ file: this.#path(one.path), text: one.text, mode: 0o644 })))
    })
  }

  async #writing<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      // What is no failed call of the operating system was not about writing here.
      if (isRegistryError(cause) || !(cause instanceof Error) || !('syscall' in cause)) throw cause
      if (isDiskFull(cause)) throw new RegistryError('DISK_FULL', `no space is left in ${this.folder}`, { cause })
      throw new RegistryError('PROJECT_READ_ONLY', `${this.#path(path)} cannot be written: ${messageOf(cause)}`, {
        cause,
        tried: [`wrote to ${this.folder}`],
        next: 'check the permissions and the file system of the project folder'
      })
    }
  }
}
