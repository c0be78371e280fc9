import { expect, test } from 'vitest'
import { similarNames } from '../../node/services/project/similar-names.ts'
import type { Lock } from '../../node/services/project/lock-format.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { person } from '../support/facts.ts'

const registry = 'bafyregistry' as RegistryId

/** As much of a lockfile as is read. */
function lockOf(...names: readonly string[]): Lock {
  const packs = names.map(name => [
    name,
    { id: name, registry, name: parsePackageName(`ggen/${name}`), author: person('ann').did }
  ])
  return { packs: new Map(packs as never) } as never
}

const asked: string[] = []
const similar = async (_: RegistryId, name: string): Promise<never> => {
  asked.push(name)
  return (name === 'ggen/lodahs' ? ['ggen/lodash', 'ggen/lodish'] : []) as never
}

test('a name that comes for the first time and would be taken for another is told once', async () => {
  const after = lockOf('left-pad', 'lodahs')
  expect(await similarNames({ before: lockOf('left-pad'), after }, similar)).toEqual([
    {
      code: 'similar-name',
      id: 'lodahs',
      text: 'lodahs is not lodash and 1 more: there are names that look like it; was this one meant?'
    }
  ])
  expect(asked).toEqual(['ggen/lodahs'])
  expect(await similarNames({ before: after, after }, similar)).toEqual([])
})
