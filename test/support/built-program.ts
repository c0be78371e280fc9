import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { REPOSITORY } from './shared.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The folder of the built package. */
    readonly built: string
  }
}

/** Beside the installed libraries, so that the program finds its native store. */
const FOLDER = join(REPOSITORY, 'node_modules', '.cache', 'built')
const KEPT_MS = 24 * 60 * 60 * 1000

/** What the build reads. Whoever adds to this list makes tests run what is no longer there. */
const INPUTS = [
  ['node', 'protocol', 'storage', 'attestation', 'bin', 'examples'],
  ['package.json', 'package-lock.json', 'README.md', 'LICENSE']
].flat()

/**
 * Builds what is published, once for all tests that start the program: it is what people run, and it starts in half the
 * time that the sources take. What was built from the same files before is used again.
 */
export default async function setup(project: TestProject): Promise<void> {
  const folder = join(FOLDER, await stampOf(INPUTS))
  if (!existsSync(folder)) {
    await removeOld()
    const making = `${folder}.${process.pid}`
    // A process of its own: the build asks where libraries are, which this one's loader can't tell.
    await promisify(execFile)(process.execPath, [join(REPOSITORY, 'bin', 'build', 'build.ts'), making])
    await mkdir(FOLDER, { recursive: true })
    // Another run may have been quicker: what it made is the same.
    await rename(making, folder).catch(() => rm(making, { recursive: true, force: true }))
  }
  const now = new Date()
  await utimes(folder, now, now)
  project.provide('built', folder)
}

/** Names and contents of all files below, as one short word. */
async function stampOf(names: readonly string[]): Promise<string> {
  const files: string[] = []
  for (const name of names) {
    const path = join(REPOSITORY, name)
    if (!(await stat(path)).isDirectory()) files.push(path)
    else {
      const entries = await readdir(path, { recursive: true, withFileTypes: true })
      for (const entry of entries) if (entry.isFile()) files.push(join(entry.parentPath, entry.name))
    }
  }
  const hash = createHash('sha256')
  for (const file of files.toSorted())
    hash
      .update(`${file}\0`)
      .update(await readFile(file))
      .update('\0')
  return hash.digest('hex').slice(0, 32)
}

/** Another run may be using what it built a while ago, so only what nobody used for a day goes. */
async function removeOld(): Promise<void> {
  const names = existsSync(FOLDER) ? await readdir(FOLDER) : []
  for (const name of names) {
    const path = join(FOLDER, name)
    if (Date.now() - (await stat(path)).mtimeMs > KEPT_MS) await rm(path, { recursive: true, force: true })
  }
}
