import { beforeAll, describe, expect, test } from 'vitest'
import { Precedence } from '../../node/services/precedence.ts'
import type { Target } from '../../node/services/project/target.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { FollowedRegistry } from '../../storage/records.ts'
import { subject } from '../support/facts.ts'
import type { FactWriter } from '../support/facts.ts'
import { Federation, publish, release } from '../support/federation.ts'
import { refusal } from '../support/project.ts'

const COUNT = 1_000
const NAMES = Array.from({ length: COUNT }, (_, i) => `internal-${i}`)
/** What a private package needs at most of others, so that all names are needed by some. */
const FAN = 50

let here: Federation
let acme: FactWriter
let main: FactWriter

/** All that a command locked of these names, by registry. */
const sourcesOf = ({ lock }: Target): ReadonlyMap<string, number> => {
  const ours = [...lock.packs.values()].filter(({ name }) => shortNameOf(name).startsWith('internal-'))
  return new Map(
    [...Map.groupBy(ours, ({ registry }) => here.aliasOf(registry))].map(([alias, packs]) => [alias, packs.length])
  )
}
const needing = (from: number): readonly string[] => NAMES.slice(from, from + FAN).map(name => `${name} *`)

// A company's thousand names; and a public registry, the default one, in which a stranger offers all of them in 99.0.0, what
// looks like them, and packages that need them.
beforeAll(async () => {
  here = new Federation()
  main = await here.follow('main', { kind: 'public', isDefault: true })
  acme = await here.follow('acme', { kind: 'private' })
  for (const name of NAMES) {
    publish(acme, name, { '1.0.0': [] })
    publish(main, name, { '99.0.0': [] })
  }
  for (const name of NAMES.slice(0, 50))
    for (const near of [`${name}s`, name.replace('-', '_')]) publish(main, near, { '99.0.0': [] })
  for (let from = 0; from < COUNT; from += FAN) {
    publish(acme, `app-${from}`, { '1.0.0': needing(from) })
    publish(main, `web-${from}`, { '1.0.0': needing(from) })
  }
  publish(main, 'bait', { '1.0.0': ['internal-0 ^99.0.0'] })
  publish(main, 'lure', { '1.0.0': ['internal-1 ^99.0.0 optional'] })
  await here.read(main)
  await here.read(acme)
}, 180_000)

describe('of a thousand private names that a public registry offers in 99.0.0 none is ever taken from there', () => {
  test.each<[string, (name: string) => string]>([
    ['by its name', name => name],
    ['in any version', name => `${name}@*`],
    ['in a range without an upper bound', name => `${name}@>=1.0.0`],
    ['in a range that both fulfil', name => `${name}@>=1.0.0 <100.0.0`],
    ['by its alias', name => `acme:${name}`]
  ])('asked for %s', async (_, reference) => {
    const target = await here.project().install(NAMES.slice(0, 500).map(reference))
    expect(sourcesOf(target)).toEqual(new Map([['acme', 500]]))
    const rest = await here.project().install(NAMES.slice(500).map(reference))
    expect(sourcesOf(rest)).toEqual(new Map([['acme', 500]]))
  })

  test('asked for in the very version that only the stranger has', async () => {
    for (const name of NAMES.slice(0, 100)) {
      const error = await refusal(here.project().install([`${name}@99.0.0`]))
      expect(error).toMatchObject({ code: 'UNKNOWN_VERSION', next: `try ${name}@1.0.0` })
    }
  })

  test('asked for by a tag that only the stranger could have', async () => {
    for (const name of NAMES.slice(0, 100))
      expect(await refusal(here.project().install([`${name}@latest`]))).toMatchObject({ code: 'UNKNOWN_VERSION' })
  })

  test('needed by private packages', async () => {
    for (let from = 0; from < COUNT; from += FAN)
      expect(sourcesOf(await here.project().install([`app-${from}`]))).toEqual(new Map([['acme', FAN]]))
  })

  test('needed by public packages, of their own registry or by its alias', async () => {
    for (let from = 0; from < COUNT; from += FAN)
      for (const web of [`web-${from}`, `main:web-${from}`])
        expect(sourcesOf(await here.project().install([web]))).toEqual(new Map([['acme', FAN]]))
  })

  test('needed in 99.0.0 by a public package: it is refused, or left out where it is optional', async () => {
    const error = await refusal(here.project().install(['bait']))
    expect(error.code).toBe('MISSING_DEPENDENCY')
    expect([error.message, ...error.tried].join('\n')).toContain('acme:internal-0 has 1.0.0')
    const target = await here.project().install(['lure'])
    expect(sourcesOf(target)).toEqual(new Map())
    expect(target.left).toMatchObject([{ name: 'internal-1', why: 'optional', by: 'lure@1.0.0' }])
  })

  test('updated, by name and with everything else', async () => {
    const project = here.project()
    await project.install([...NAMES.slice(0, 200), 'web-200', 'app-250'])
    expect(sourcesOf(await project.update())).toEqual(new Map([['acme', 300]]))
    expect(sourcesOf(await project.update(NAMES.slice(0, 200)))).toEqual(new Map([['acme', 300]]))
    expect(project.wants.filter(key => !key.startsWith('acme:'))).toEqual(['web-200'])
  })

  test('found, and then installed as it was listed', async () => {
    for (const name of NAMES.slice(0, 4)) {
      const rows = (await here.search(name, 100)).filter(row => row.name === `ggen/${name}`)
      expect(rows).toMatchObject([{ alias: 'acme', version: '1.0.0', hides: ['main'], hiddenBy: null }])
      const target = await here.project().install([`${name}@${rows[0]?.version ?? ''}`])
      expect(sourcesOf(target)).toEqual(new Map([['acme', 1]]))
    }
  })

  test('mistyped: a name that nobody private has is public, and says so in the project file and the lock', async () => {
    const project = here.project()
    await project.install(['internal-0s'])
    expect(project.locked).toEqual(['main:internal-0s@99.0.0'])
  })
})

test("whoever means the stranger's package says so, and only for that wish", async () => {
  const project = here.project()
  await project.install(['main:internal-7', 'web-0'])
  expect(project.wants).toEqual(['main:internal-7', 'web-0'])
  expect(project.locked.filter(line => line.includes('internal-7@'))).toEqual([
    'acme:internal-7@1.0.0',
    'main:internal-7@99.0.0'
  ])
  await project.update()
  expect(project.locked.filter(line => line.startsWith('main:internal'))).toEqual(['main:internal-7@99.0.0'])
  await project.install()
  const exact = here.project()
  await exact.install(['internal-8'], { registry: 'main' })
  expect(exact.locked).toEqual(['main:internal-8@99.0.0'])
})

test('a private name whose only version was yanked does not fall to the stranger', async () => {
  const claim = publish(acme, 'frail', { '1.0.0': [] })
  acme.yank('frail', '1.0.0', { registry: acme.genesis.id, package: claim.id })
  publish(main, 'frail', { '99.0.0': [] })
  await here.read(acme)
  await here.read(main)
  expect(await refusal(here.project().install(['frail']))).toMatchObject({ code: 'UNKNOWN_VERSION' })
})

test('a private name without any version does not fall to the stranger', async () => {
  acme.claim('planned')
  publish(main, 'planned', { '99.0.0': [] })
  publish(main, 'planner', { '1.0.0': ['planned *'] })
  await here.read(acme)
  await here.read(main)
  expect(await refusal(here.project().install(['planned']))).toMatchObject({ code: 'UNKNOWN_VERSION' })
  expect(await refusal(here.project().install(['planner']))).toMatchObject({ code: 'MISSING_DEPENDENCY' })
})

test('a private version in conflict does not fall to the stranger', async () => {
  const claim = publish(acme, 'torn', { '1.0.0': [] })
  release(acme, { name: 'torn', version: '1.0.0', needs: ['internal-0 *'], claim: claim.id })
  publish(main, 'torn', { '99.0.0': [] })
  await here.read(acme)
  await here.read(main)
  expect(await refusal(here.project().install(['torn']))).toMatchObject({ code: 'VERSION_CONFLICT' })
})

test('the rule is asked of rows, whatever else a registry holds: at most one look per registry', async () => {
  const asked: string[] = []
  const spied = new Precedence<FollowedRegistry>({
    registries: here.registries,
    find: async (registry, name) => {
      asked.push(registry)
      return here.view.find(registry, name)
    },
    isTraced: async () => false,
    near: async () => [],
    isPrivate: ({ alias }) => alias === 'acme',
    isRead: () => true,
    isFresh: () => true,
    heardAt: () => undefined
  })
  for (const name of ['internal-1', 'web-0', 'nobody-has-it']) {
    asked.length = 0
    await spied.standing(subject(name))
    expect(asked.length).toBeLessThanOrEqual(here.registries.all.length)
  }
})
