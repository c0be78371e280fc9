import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { lockfileIn } from './services/lockfile.ts'
import type { LockedPack, Lockfile, TextFile } from './services/lockfile.ts'

/** The lockfile of a project folder. */
export function projectLockfile(project: string, init: { version: string; now: () => number }): Lockfile {
  return lockfileIn(textFile(join(project, '.ggen', 'packs.lock')), init)
}

/** What is installed in a project, by its lockfile. */
export async function listInstalled(project: string): Promise<readonly LockedPack[]> {
  const lockfile = projectLockfile(project, { version: '', now: () => 0 })
  return [...(await lockfile.read()).values()]
}

/** A small text file that is replaced as a whole: written beside, made durable, renamed. */
function textFile(path: string): TextFile {
  return {
    async read() {
      let bytes: Buffer
      try {
        bytes = await readFile(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read`, { cause: error })
      }
      if (bytes.length > LIMITS.install.lockfileBytes) throw new RegistryError('LIMIT_EXCEEDED', `${path} is too large`)
      return bytes.toString('utf8')
    },
    async replace(text) {
      await mkdir(dirname(path), { recursive: true })
      const beside = `${path}.new`
      const file = await open(beside, 'w', 0o644)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(beside, path)
    }
  }
}
