import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { unpackArchive } from '../../node/archive/unpack.ts'
import { packagePath } from '../../node/package-root.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClock } from '../support/test-clock.ts'
import { mutant, packed, readInMemory, sorted, treeIn, unpackedBy } from './mutations.ts'

/** 100,000 of them, and more in processes: `mutations.long.test.ts`. */
describe('archives that nobody packs', () => {
  test('are refused for a reason that there is or read as one tree, however they are cut, and GNU tar unpacks the same', async () => {
    const taken: number[] = []
    for (let seed = 0; seed < 500; seed++) {
      const archive = mutant(seed)
      const tree = readInMemory(archive, archive.length)
      expect(readInMemory(archive, 1 + (seed % 700))).toEqual(tree)
      if (typeof tree !== 'string') taken.push(seed)
    }
    // Neither all refused, which proves nothing, nor all taken.
    expect(taken.length).toBeGreaterThan(75)
    expect(taken.length).toBeLessThan(425)
    for (const seed of taken.slice(0, 20)) {
      const tree = readInMemory(mutant(seed), 512)
      const other = await unpackedBy('GNU tar', mutant(seed))
      if (other !== undefined) expect({ seed, tree: sorted(tree) }).toEqual({ seed, tree: sorted(other) })
    }
  })

  test('become in the process that reads them what they are in memory, and nothing beside that folder', async () => {
    for (let seed = 0; seed < 3; seed++) {
      const home = await tempDir('archive')
      const [file, target] = [join(home, 'archive'), join(home, 'target')]
      await Promise.all([writeFile(file, packed(mutant(seed), seed)), mkdir(target)])
      const program = { root: packagePath() }
      const unpacking = unpackArchive({ clock: testClock(), program }, { file, target }, new AbortController().signal)
      const code = await codeOfAsync(() => unpacking)
      const expected = readInMemory(mutant(seed), 512)
      if (typeof expected === 'string') {
        expect({ seed, code, files: await readdir(target) }).toEqual({ seed, code: expected, files: [] })
      } else
        expect({ seed, code, tree: sorted(await treeIn(target)) }).toEqual({
          seed,
          code: 'none',
          tree: sorted(expected)
        })
      expect((await readdir(home)).toSorted()).toEqual(['archive', 'target'])
    }
  })
})
