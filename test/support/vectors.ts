import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './shared.ts'

/** The cases of a file in test/vectors: one a line, without comments. Fails when there are none. */
export function vectors(file: string): readonly string[] {
  const text = readFileSync(join(REPOSITORY, 'test', 'vectors', file), 'utf8')
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('# '))
  if (lines.length === 0) throw new Error(`${file} holds no case`)
  return lines
}
