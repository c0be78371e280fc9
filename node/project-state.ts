import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { parseContentId } from '../protocol/cid.ts'
import type { ContentId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PlacedFolder } from './services/project/project.ts'

/** Of a file: inode, size, and times of change, as text. Of a folder: inode and the time its names changed. */
type Fingerprint = string

/** What an install knows of a folder that it filled. */
export interface FolderRecord {
  readonly cid: ContentId
  /** When its times were looked at. */
  readonly at: number
  readonly files: ReadonlyMap<string, { readonly cid: string; readonly stamp: Fingerprint }>
  readonly folders: ReadonlyMap<string, Fingerprint>
}

/** By paths below the project. */
export type FolderRecords = ReadonlyMap<string, FolderRecord>

const FORMAT = 1
/** Below `.ggen/packages` and nowhere else, whatever somebody wrote into the file. */
const OWN_PATH = /^\.ggen\/packages(?:\/(?!\.)[^/\\]+)+$/

/** Whether a path is one where packages of a project lie. */
export function isPackPath(path: string): boolean {
  return path.length <= LIMITS.content.pathBytes && OWN_PATH.test(path) && !/\p{Cc}/u.test(path)
}

/**
 * Reads the state file. It is a memory aid and never an authority: what can't be read is as good as forgotten, and what
 * it says of a folder counts only while inodes and times are the same, which nobody can bring along in a repository.
 */
export function parseState(text: string): FolderRecords {
  try {
    const json = JSON.parse(text) as { format?: unknown; packs?: Record<string, RecordJson> }
    if (json.format !== FORMAT || json.packs === undefined) return new Map()
    return new Map(
      Object.entries(json.packs)
        .filter(([path]) => isPackPath(path))
        .map(([path, record]) => [path, fromJson(record)])
    )
  } catch {
    return new Map()
  }
}

interface RecordJson {
  readonly cid: string
  readonly at: number
  readonly files: Readonly<Record<string, readonly [cid: string, stamp: string]>>
  readonly folders: Readonly<Record<string, string>>
}

function fromJson({ cid, at, files, folders }: RecordJson): FolderRecord {
  const entries = Object.entries(files).map(
    ([path, [id, stamp]]) => [path, { cid: String(id), stamp: String(stamp) }] as const
  )
  return {
    cid: parseContentId(cid),
    at: Number(at),
    files: new Map(entries),
    folders: new Map(Object.entries(folders))
  }
}

/** The text of the state file. */
export function formatState(records: FolderRecords): string {
  const packs = [...records]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, { cid, at, files, folders }]) => {
      const own = [...files].map(([file, { cid: id, stamp }]) => [file, [id, stamp]] as const)
      return [path, { cid, at, files: Object.fromEntries(own), folders: Object.fromEntries(folders) }] as const
    })
  return `${JSON.stringify({ format: FORMAT, packs: Object.fromEntries(packs) })}\n`
}

/** Looks at every file and folder of a package once; undefined when it is not whole any more. */
export async function recordFolder(
  project: string,
  { path, cid, files }: PlacedFolder,
  now: number
): Promise<FolderRecord | undefined> {
  if (files === undefined) return undefined
  const folder = join(project, path)
  const names = new Set<string>([''])
  for (const file of files.keys()) {
    for (let at = dirname(file); at !== '.'; at = dirname(at)) names.add(at)
  }
  const fileStats = await statAll(folder, [...files.keys()])
  const folderStats = await statAll(folder, [...names])
  const stamps = new Map<string, { readonly cid: string; readonly stamp: string }>()
  for (const [file, id] of files) {
    const stats = fileStats.get(file)
    if (stats?.isFile() !== true) return undefined
    stamps.set(file, { cid: id, stamp: fileStamp(stats) })
  }
  const folders = new Map<string, string>()
  for (const [name, stats] of folderStats) {
    if (!stats.isDirectory()) return undefined
    folders.set(name, folderStamp(stats))
  }
  return folders.size === names.size ? { cid, at: now, files: stamps, folders } : undefined
}

/**
 * Whether nothing in a folder was touched since it was looked at: then it holds what it held, and need not be read.
 * Race: a file changed in the same tick of the clock in which it was looked at keeps its times, so what was that young
 * is not vouched for.
 */
export async function isUntouched(project: string, path: string, record: FolderRecord): Promise<boolean> {
  const folder = join(project, path)
  // Attack: a record of no files and no folders, brought along in a repository, is true of any folder. The inode and
  // time of the package's own folder are what nobody can bring along.
  if (!record.folders.has('')) return false
  const folders = await statAll(folder, [...record.folders.keys()])
  for (const [name, stamp] of record.folders) {
    const stats = folders.get(name)
    if (stats?.isDirectory() !== true || folderStamp(stats) !== stamp || isYoung(stats.mtimeMs, record.at)) return false
  }
  const files = await statAll(folder, [...record.files.keys()])
  for (const [name, { stamp }] of record.files) {
    const stats = files.get(name)
    if (stats?.isFile() !== true || fileStamp(stats) !== stamp || isYoung(stats.ctimeMs, record.at)) return false
  }
  return true
}

function isYoung(changedMs: number, at: number): boolean {
  return changedMs > at - LIMITS.project.raceMs
}

function fileStamp({ ino, size, mtimeMs, ctimeMs }: Stats): Fingerprint {
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

function folderStamp({ ino, mtimeMs }: Stats): Fingerprint {
  return `${ino} ${mtimeMs}`
}

/** At once, without another thread: a few microseconds each, against fifty. Others have a turn between the steps. */
async function statAll(folder: string, names: readonly string[]): Promise<ReadonlyMap<string, Stats>> {
  const found = new Map<string, Stats>()
  for (const [i, name] of names.entries()) {
    if (i % LIMITS.project.statsPerTurn === LIMITS.project.statsPerTurn - 1) await setImmediate()
    const stats = lstatSync(`${folder}/${name}`, { throwIfNoEntry: false })
    if (stats !== undefined) found.set(name, stats)
  }
  return found
}
