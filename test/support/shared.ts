import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'

/** The root of this repository. */
export const REPOSITORY = join(import.meta.dirname, '..', '..')

/**
 * Where Node.js keeps what it made of the sources, for all programs that tests start: hundreds of them, half of whose time
 * would be spent on reading the same files. Node.js compares each with its source, so nothing in it is ever out of date.
 */
export const COMPILE_CACHE = join(REPOSITORY, 'node_modules', '.cache', 'compiled')

/** The folder of sample data and vectors that may lie beside the repository. It is never written to. */
export const SHARED = join(REPOSITORY, '..', 'shared')

/** A path below the shared folder, whether or not it is there. */
export function sharedPath(...segments: readonly string[]): string {
  return join(SHARED, ...segments)
}

/**
 * `describe` for a suite that needs a path of the shared folder. Without it the suite is reported as skipped, and its
 * title says which path was missing.
 */
export function describeWithShared(path: string, title: string, suite: (path: string) => void): void {
  const full = sharedPath(path)
  if (existsSync(full)) describe(title, () => suite(full))
  else describe.skip(`${title} (skipped: ../shared/${path} is absent)`, () => suite(full))
}
