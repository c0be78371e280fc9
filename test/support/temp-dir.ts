import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const made: string[] = []

// Registered when the file is imported, so it runs after the hooks of the test file itself, which may still close stores in here.
afterAll(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true, maxRetries: 3 })
})

/** A new empty folder, removed with all it holds when the test file is done. */
export async function tempDir(label = 'test'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `ggen-${label}-`))
  made.push(folder)
  return folder
}
