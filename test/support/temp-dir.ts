import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []

/** A new empty folder, removed with all it holds when the test file is done. */
export async function tempDir(label = 'test'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `ggen-${label}-`))
  made.push(folder)
  return folder
}

/** Removes the folders of the test file that is done. `each-file.ts` calls it, for every file that runs in this process. */
export async function removeTempDirs(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}
