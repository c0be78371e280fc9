import { lstat, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { CID } from 'multiformats/cid'
import { parseContentId } from '../protocol/cid.ts'
import { RegistryError, isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { discardFolder, recoverFolder } from '../storage/content/place-folder.ts'
import { codeOf, isDiskFull } from '../storage/disk-errors.ts'
import { isTemporary, writeDurably } from '../storage/durable.ts'
import { NEW_PROJECT, GGEN_TABLES, OWN_TABLES, editProjectFile, hasPacks, parseProjectFile } from './project-file.ts'
import type { ProjectTables } from './project-file.ts'
import { ProjectLocks } from './project-locks.ts'
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
  WantChange
} from './services/project/project.ts'

const LOCK = '.ggen/packs.lock'
const JOURNAL = '.ggen/.journal.json'
const STATE = '.ggen/.state.json'

/** Opens projects; commands of one process that work on the same folder take turns. */
export class Projects {
  readonly #locks = new ProjectLocks()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  open(folder: string): ProjectStore {
    return new ProjectFolder(resolve(folder), this.#locks, this.#now)
  }
}

/**
 * The files of one project:
 *
 *   .ggen/project.toml   what it wants, or the [packs] table of ggen.toml     \ belong into version control
 *   .ggen/packs.lock     which releases that is                                /
 *   .ggen/packages/      the packages
 *   .ggen/.journal.json  there while an install works, or after one crashed
 *   .ggen/.state.json    times and sizes of what was put there: may be deleted at any time
 *   .ggen/.lock          there while a command works
 */
class ProjectFolder implements ProjectStore {
  readonly folder: string
  readonly #locks: ProjectLocks
  readonly #now: () => number
  #records: Promise<FolderRecords> | undefined

  constructor(folder: string, locks: ProjectLocks, now: () => number) {
    this.folder = folder
    this.#locks = locks
    this.#now = now
  }

  async readProject(): Promise<ProjectFile> {
    const { text, tables } = await this.#projectFile()
    return parseProjectFile(text ?? '', tables)
  }

  async changeWants(changes: readonly WantChange[], write: boolean): Promise<boolean> {
    if (changes.length === 0) return false
    const { text, tables } = await this.#projectFile()
    const after = editProjectFile(text ?? NEW_PROJECT, tables, changes)
    if (after === text) return false
    if (write) await this.#write(tables.file, after)
    return true
  }

  async readLock(): Promise<Lock> {
    const text = await this.#read(LOCK, LIMITS.install.lockfileBytes)
    return text === undefined ? EMPTY_LOCK : parseLock(text)
  }

  async writeLock(lock: Lock): Promise<void> {
    const text = formatLock(lock)
    if (text !== (await this.#read(LOCK, LIMITS.install.lockfileBytes))) await this.#write(LOCK, text)
  }

  async readJournal(): Promise<Journal> {
    const text = await this.#read(JOURNAL, LIMITS.project.journalBytes)
    if (text === undefined) return { packs: [] }
    try {
      const { packs } = JSON.parse(text) as { packs: readonly { path: string; cid: string }[] }
      const own = packs.filter(({ path }) => isPackPath(path)).slice(0, LIMITS.install.packages)
      return { packs: own.map(({ path, cid }) => ({ path, cid: parseContentId(cid) })) }
    } catch {
      // Written whole or not at all by us, so this is somebody's file. What it says would only allow more.
      return { packs: [] }
    }
  }

  /** What an earlier journal says goes on being true until everything is done. */
  async writeJournal({ packs }: Journal): Promise<void> {
    const before = await this.readJournal()
    const all = new Map([...before.packs, ...packs].map(pack => [`${pack.path} ${pack.cid}`, pack]))
    await this.#write(JOURNAL, `${JSON.stringify({ format: 1, packs: [...all.values()] })}\n`)
  }

  async clearJournal(): Promise<void> {
    await rm(this.#path(JOURNAL), { force: true })
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
      const record = isKnown ? known : await recordFolder(this.folder, one, this.#now())
      if (record === undefined) after.delete(one.path)
      else after.set(one.path, record)
    }
    this.#records = Promise.resolve(after)
    // A memory aid: when it can't be written, or a power cut takes it, the next install reads files instead.
    const path = this.#path(STATE)
    const text = formatState(after)
    if (text.length > LIMITS.project.stateBytes) return
    try {
      await writeFile(`${path}.new`, text)
      await rename(`${path}.new`, path)
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
    const stats = await lstat(this.#path(path)).catch(() => undefined)
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
    const folders = new Set(['.ggen', '.ggen/packages'])
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
    await this.#writing('.ggen', () => mkdir(this.#path('.ggen'), { recursive: true }))
    return this.#locks.exclusively(
      this.#path('.ggen'),
      async () => {
        // Another command may have changed it while this one waited.
        this.#records = undefined
        return this.#writing('.ggen', work)
      },
      options
    )
  }

  #path(path: string): string {
    return join(this.folder, path)
  }

  #known(): Promise<FolderRecords> {
    this.#records ??= this.#read(STATE, LIMITS.project.stateBytes).then(
      text => (text === undefined ? new Map<string, FolderRecord>() : parseState(text)),
      () => new Map<string, FolderRecord>()
    )
    return this.#records
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
      const stats = await lstat(this.#path(path))
      if (stats.size > bound) throw new RegistryError('LIMIT_EXCEEDED', `${path} has more than ${bound} bytes`)
      bytes = await readFile(this.#path(path))
    } catch (cause) {
      if (isRegistryError(cause)) throw cause
      if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return undefined
      throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read: ${messageOf(cause)}`, { cause })
    }
    return bytes.toString('utf8')
  }

  async #write(path: string, text: string): Promise<void> {
    await this.#writing(path, async () => {
      await mkdir(dirname(this.#path(path)), { recursive: true })
      await writeDurably(this.#path(path), text, { mode: 0o644 })
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

async function readFolder(
  folder: string,
  signal: AbortSignal,
  onFile?: (file: string, cid: CID) => void
): Promise<FolderState> {
  // Loaded when it is needed: `list` and its like read no package.
  const { importFolder } = await import('../storage/content/import-folder.ts')
  try {
    const { root } = await importFolder(folder, { put: (cid: CID) => cid }, { signal, isInstalled: true, onFile })
    return { type: 'folder', root }
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    if (cause.code === 'UNKNOWN_FILE') return { type: 'missing' }
    return { type: 'strange', why: cause.message }
  }
}
