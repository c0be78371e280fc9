import { cp } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'
import { REPOSITORY } from '../support/shared.ts'

const SLOW = 120_000

afterEach(stopRunningNodes)

/** Fulfilled when nodes hold the same set of so many facts and say the same of everything in it. */
async function agreed(nodes: readonly TestRunningNode[], registry: string, facts: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const look = async (): Promise<void> => {
    const shown = await Promise.all(nodes.map(node => node.call('registryShow', { registry })))
    const [first] = shown
    if (first !== undefined && new Set(shown.map(({ digest }) => digest)).size === 1 && first.facts >= facts)
      resolve(first.digest)
  }
  const stop = nodes.map(node => node.parts.onChange(() => void look().catch(reject)))
  await look()
  return promise.finally(() => {
    for (const end of stop) end()
  })
}

test(
  'what two nodes edit apart is on both when they meet, conflicts with who said what, and the next edit settles them',
  async () => {
    const ann = await runningNode()
    const registry = await ann.found('curated')
    const folder = joinPath(await tempDir('package'), 'core')
    await cp(joinPath(REPOSITORY, 'examples', 'core-vocabulary'), folder, { recursive: true })
    const published = await ann.call('publish', { folder })
    expect(published.metadata).not.toBeNull()
    let bob = await runningNode()
    await join(bob, registry, ann)
    await ann.call('roleGrant', { to: bob.key, role: 'publisher' })
    await agreed([ann, bob], registry, 5)
    const reference = 'core-vocabulary'
    const { home } = bob
    await bob.stop()

    await ann.call('edit', { reference, edits: edits({ title: 'From Ann', 'keywords/ann': true }) })
    // Bob is away: his node starts again where nobody can be reached.
    bob = await runningNode({ home })
    await bob.call('edit', { reference, edits: edits({ title: 'From Bob', 'keywords/bob': true }) })
    await bob.call('connect', { address: ann.address })
    await agreed([ann, bob], registry, 7)

    for (const node of [ann, bob]) {
      const { document } = await node.call('document', { reference })
      expect(document?.keywords).toEqual(expect.arrayContaining(['ann', 'bob']))
      const [title] = document?.conflicts ?? []
      expect(title?.path).toEqual(['title'])
      const said = title?.values.map(({ value, by }) => `${String(value)} ${by}`)
      expect(said?.toSorted()).toEqual([`From Ann ${ann.key}`, `From Bob ${bob.key}`])
    }

    const settled = await bob.call('edit', { reference, edits: edits({ title: 'From both' }) })
    expect(settled.settled).toEqual([['title']])
    await agreed([ann, bob], registry, 8)
    const { document } = await ann.call('document', { reference })
    expect(document).toMatchObject({ title: 'From both', conflicts: [] })
    expect((await ann.call('search', { query: 'both', limit: 5 })).map(({ title }) => title)).toEqual(['From both'])
  },
  SLOW
)

function edits(values: Readonly<Record<string, string | true>>) {
  return Object.entries(values).map(([key, value]) => ({ op: 'put' as const, path: key.split('/'), value }))
}
