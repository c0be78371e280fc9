import { describe, expect, test } from 'vitest'
import { mutant, OTHERS, readInMemory, sorted, unpackedBy } from './mutations.ts'

const SEEDS = 100_000
const COMPARED = 400

describe(`${SEEDS.toLocaleString('en-US')} archives that nobody packs`, () => {
  test('are refused for a reason that there is or read as one tree, and none takes long', () => {
    let taken = 0
    for (let seed = 0; seed < SEEDS; seed++) {
      const archive = mutant(seed)
      const before = performance.now()
      const tree = readInMemory(archive, 1 + (seed % 700))
      expect(performance.now() - before).toBeLessThan(1_000)
      if (typeof tree !== 'string') taken++
    }
    expect(taken).toBeGreaterThan(SEEDS / 10)
    expect(taken).toBeLessThan(SEEDS / 2)
  })

  test.each(Object.keys(OTHERS))('are unpacked by %s as here, where they are taken', async name => {
    let compared = 0
    for (let seed = 0; compared < COMPARED; seed++) {
      const tree = readInMemory(mutant(seed), 512)
      if (typeof tree === 'string') continue
      const other = await unpackedBy(name, mutant(seed))
      // It is not on this machine.
      if (other === undefined) return
      expect({ seed, tree: sorted(tree) }).toEqual({ seed, tree: sorted(other) })
      compared++
    }
  })
})
