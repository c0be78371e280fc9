import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { staleWarnings } from '../../node/services/policy/install.ts'
import { EMPTY_LOCK } from '../../node/services/project/lock-format.ts'
import type { LockedPack, PackId } from '../../node/services/project/lock-format.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { projectNode } from '../support/project.ts'
import type { ProjectNode } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'
import { Hearing } from './hearing.ts'

let acme: ProjectNode
let project: string

beforeAll(async () => {
  acme = await projectNode()
})

afterAll(() => acme.node.stop())

describe('what a policy refuses is placed', () => {
  const refuse = (name: string) =>
    writeFile(
      join(project, '.ggen/policy.toml'),
      `version = 1\n[[rule]]\nid = "no"\nrequire = 'release.name != "ggen/${name}"'\n`
    )

  test('by no removal of something else, which takes away all the same what it is about', async () => {
    project = await tempDir('project')
    await acme.install(project, ['single', 'base'])
    await refuse('single')
    // It is there already: nobody is kept from taking the other one away.
    await acme.remove(project, ['base'])
    await rm(join(project, '.ggen/policy.toml'))
    await acme.install(project, ['base'])
    await refuse('single')
    await rm(join(project, '.ggen/packages/single'), { recursive: true })
    expect(await codeOfAsync(() => acme.remove(project, ['base']))).toBe('POLICY_DENIED')
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })

  test('by no update, no lockfile and no --frozen', async () => {
    project = await tempDir('project')
    await acme.install(project, ['base@=1.0.0', 'single'])
    await mkdir(join(project, '.ggen'), { recursive: true })
    await refuse('single')
    await rm(join(project, '.ggen/packages'), { recursive: true })
    expect(await codeOfAsync(() => acme.install(project))).toBe('POLICY_DENIED')
    expect(await codeOfAsync(() => acme.install(project, [], { frozen: true }))).toBe('POLICY_DENIED')
    expect(await codeOfAsync(() => acme.install(project, ['base'], { noDeps: true }))).toBe('POLICY_DENIED')
    expect(await codeOfAsync(() => acme.update(project))).toBe('POLICY_DENIED')
    expect(await readdir(join(project, '.ggen'))).not.toContain('packages')
  })
})

test('nobody is excused beforehand from what nobody has seen', async () => {
  const folder = await tempDir('project')
  const until = new Date(Date.now() + 7 * 24 * 60 * 60 * 1000).toISOString().slice(0, 10)
  const allow = (reference: string) =>
    codeOfAsync(() => acme.install(folder, ['single'], { allow: ['yanked', reference], until, reason: 'ours' }))
  expect(await allow('acme:singel')).toBe('UNKNOWN_PACKAGE')
  expect(await allow('acme:single@9.0.0')).toBe('UNKNOWN_VERSION')
  expect(await readdir(folder)).toEqual([])
  expect(await allow('acme:single@1.0.0')).toBe('none')
})

test('a registry that was compared with nobody for longer than the policies bear is called stale, with its age', async () => {
  const at = await Hearing.of(['1.0.0', '1.1.0'])
  const candidates = [await at.candidate('1.0.0')]
  const [only] = candidates
  if (only === undefined) throw new Error('no candidate')
  const packs = new Map([['ggen/lib' as PackId, { ...only, id: 'ggen/lib' } as unknown as LockedPack]])
  const warnings = async () => {
    const judgement = await at.policy.judge(undefined, candidates, AbortSignal.timeout(60_000))
    return staleWarnings(judgement, { lock: { ...EMPTY_LOCK, packs } }).map(({ code, text }) => `${code}: ${text}`)
  }
  expect(await warnings()).toEqual([
    'stale: acme is stale: it was compared with nobody for 10 days; what was withdrawn since is not known here'
  ])
  expect(await at.policy.staleness(at.acme.registry)).toEqual({ hours: 240, maxHours: 24, stale: true })
  await writeFile(join(at.home, 'policy.toml'), 'version = 1\nmax-staleness = "11d"\n')
  expect(await warnings()).toEqual([])
  expect(await at.policy.staleness(at.acme.registry)).toEqual({ hours: 240, maxHours: 264, stale: false })
  // What can't be read is no reason to say nothing.
  await writeFile(join(at.home, 'policy.toml'), 'version =')
  expect(await at.policy.staleness(at.acme.registry)).toMatchObject({ maxHours: 24, stale: true })
  await writeFile(join(at.home, 'policy.toml'), 'version = 1\n')
  await at.here.read(at.acme)
  expect(await warnings()).toEqual([])
})
