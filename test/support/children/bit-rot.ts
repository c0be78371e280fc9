import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { trial } from '../../storage/bit-rot.ts'
import type { Flip } from '../../storage/bit-rot.ts'

/** One trial after the other, from a number on. LevelDB may end this process in the middle of one. */
const [home = '', first = '0'] = process.argv.slice(2)
const flips = JSON.parse(await readFile(join(home, '..', 'flips.json'), 'utf8')) as readonly Flip[]
for (const [index, flip] of flips.entries()) {
  if (index < Number(first)) continue
  process.stdout.write(`${await trial(home, join(home, '..', `copy-${index}`), flip)}\n`)
}
process.stdout.write('done\n')
