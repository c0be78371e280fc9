import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyProject } from '../../node/installed.ts'
import { containing } from '../support/like.ts'
import { createNode } from '../../node/index.ts'
import { packageFolder } from '../support/package-folder.ts'
import { editLock, lockOf, projectNode, refusal, snapshot, textIn } from '../support/project.ts'
import type { LockJson, ProjectNode } from '../support/project.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

let on: ProjectNode

beforeAll(async () => {
  on = await projectNode()
})
afterAll(() => on.node.stop())

describe('bad input', () => {
  test('a cycle of dependencies installs', async () => {
    await on.publish({ name: 'chicken', dependencies: { egg: '*' } }).catch(() => undefined)
    await on.publish({ name: 'egg', dependencies: { chicken: '*' } })
    const project = await tempDir('project')
    expect((await on.install(project, ['chicken'])).installed.map(({ id }) => id).toSorted()).toEqual([
      'chicken',
      'egg'
    ])
    expect(await on.install(project)).toMatchObject({ upToDate: true })
    expect((await runCli(['tree'], { cwd: project })).stdout).toContain('chicken@1.0.0 (see above)')
  })

  test('impossible ranges are refused with the reasons, and nothing is touched', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    const before = await snapshot(project)
    const error = await refusal(on.install(project, ['base@^2.0.0']))
    expect(error).toMatchObject({ code: 'UNSOLVABLE' })
    expect(error.tried.join('\n')).toContain('lib 1.0.0 needs base ^1.0.0')
    expect(await snapshot(project)).toEqual(before)
  })

  test('a dependency that only another followed registry has is refused, and that registry is named', async () => {
    await on.publish({ name: 'elsewhere' }, 'other')
    await on.publish({ name: 'needy', dependencies: { elsewhere: '^1.0.0' } })
    const error = await refusal(on.install(await tempDir('project'), ['needy']))
    expect(error).toMatchObject({ code: 'MISSING_DEPENDENCY', next: containing('its own registry') })
    expect(error.tried).toContain('registry other holds a package elsewhere, acme does not')
  })

  test('a lockfile with the content id of something else is refused, and both ids are named', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    const { cid } = await on.node.publish(await packageFolder({ name: 'planted' }))
    let own = ''
    await editLock(project, ({ packs }) => {
      own = String(packs['base']?.['cid'])
      Object.assign(packs['base'] ?? {}, { cid })
    })
    const error = await refusal(on.install(project))
    expect(error.code).toBe('LOCKFILE_INVALID')
    expect(error.message).toContain(cid)
    expect(error.message).toContain(own)
    // The way out that the message names.
    expect(await on.update(project)).toMatchObject({ lockChanged: true })
    expect(await on.install(project)).toMatchObject({ upToDate: true })
  })

  test.each<[string, (json: LockJson) => unknown, string]>([
    [
      'an unknown fact',
      json => Object.assign(json.packs['base'] ?? {}, { fact: json.packs['lib']?.['fact'] }),
      'the registry has'
    ],
    [
      'another digest',
      json => Object.assign(json.packs['base'] ?? {}, { integrity: json.packs['lib']?.['integrity'] }),
      'integrity'
    ],
    [
      'a version that was never published',
      json => Object.assign(json.packs['base'] ?? {}, { version: '1.0.7' }),
      '1.0.7'
    ]
  ])('a lockfile with %s is refused', async (_, change, says) => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    await editLock(project, change)
    expect(await refusal(on.install(project))).toMatchObject({ code: 'LOCKFILE_INVALID', message: containing(says) })
  })

  test('unknown fields of a lockfile ride along', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    await editLock(
      project,
      json => Object.assign(json, { zeta: { deep: [1] } }) && Object.assign(json.packs['base'] ?? {}, { pqc: 'x' })
    )
    expect(await on.install(project)).toMatchObject({ upToDate: true })
    await on.install(project, ['app'])
    const json = await lockOf(project)
    expect([json['zeta'], json.packs['base']?.['pqc']]).toEqual([{ deep: [1] }, 'x'])
  })

  test('a lockfile of a future version is left alone', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base'])
    await editLock(project, json => Object.assign(json, { lock_format: 2 }))
    const before = await snapshot(project)
    const error = await refusal(on.install(project))
    expect(error).toMatchObject({ code: 'LOCKFILE_INVALID', next: containing('update ggen-node') })
    expect(await snapshot(project)).toEqual(before)
  })

  test('merge markers in a lockfile are explained with their line', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base'])
    const lines = (await textIn(project, '.ggen/packs.lock')).split('\n')
    const merged = [
      ...lines.slice(0, 3),
      '<<<<<<< HEAD',
      lines[3],
      '=======',
      lines[3],
      '>>>>>>> theirs',
      ...lines.slice(4)
    ]
    await writeFile(join(project, '.ggen/packs.lock'), merged.join('\n'))
    const error = await refusal(on.install(project))
    expect(error).toMatchObject({ code: 'LOCKFILE_INVALID', message: containing('line 4'), next: containing('--ours') })
  })

  test('a project path with spaces and non-ASCII characters works', async () => {
    const project = join(await tempDir('project'), 'meine Projekte', 'größer ✓ 日本')
    await on.install(project, ['lib'])
    expect(await verifyProject(project, new AbortController().signal)).toMatchObject({ clean: true })
    expect(await runCli(['verify', '--dir', project])).toMatchObject({ code: 0 })
    expect(await on.install(project)).toMatchObject({ upToDate: true })
  })

  test('a project folder that cannot be written to is named', async () => {
    // Who may do everything is not kept out by a mode; what the kernel keeps to itself is closed to root as well.
    const isRoot = process.getuid?.() === 0
    const project = isRoot ? '/sys/kernel' : await tempDir('project')
    if (!isRoot) await chmod(project, 0o555)
    const error = await refusal(on.install(project, ['base']))
    expect(error).toMatchObject({ code: 'PROJECT_READ_ONLY', message: containing(project) })
    if (!isRoot) await chmod(project, 0o755)
  })

  test('a package folder that is a link is not followed', async () => {
    const project = await tempDir('project')
    const elsewhere = await tempDir('elsewhere')
    await mkdir(join(project, '.ggen'))
    await symlink(elsewhere, join(project, '.ggen/packages'))
    expect(await refusal(on.install(project, ['base']))).toMatchObject({
      code: 'HOSTILE_PATH',
      message: containing('a link')
    })
    expect(await readdir(elsewhere)).toEqual([])
  })

  test('a state file that names folders outside the project removes nothing there', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base'])
    const victim = await tempDir('victim')
    await writeFile(join(victim, 'kept.txt'), 'kept\n')
    const state = JSON.parse(await textIn(project, '.ggen/.state.json')) as { packs: Record<string, unknown> }
    const outside = `.ggen/packages/../../../${victim.split('/').at(-1) ?? ''}`
    state.packs = { ...state.packs, [outside]: state.packs['.ggen/packages/base'] }
    await writeFile(join(project, '.ggen/.state.json'), JSON.stringify(state))
    expect(await on.install(project, [], { force: true })).toMatchObject({ removed: [] })
    expect(await readdir(victim)).toEqual(['kept.txt'])
  })

  test('a package that ships .ggen and node_modules of its own is published without them', async () => {
    const files = {
      '.ggen/packs.lock': '{}',
      'sub/.ggen/project.toml': '',
      'node_modules/x/index.js': '',
      'a.txt': 'a\n'
    }
    const { leftOut } = await on.publish({ name: 'shipper', files })
    expect(leftOut).toEqual(['.ggen/', 'node_modules/', 'sub/.ggen/'])
    const project = await tempDir('project')
    await on.install(project, ['shipper'])
    expect((await readdir(join(project, '.ggen/packages/shipper'))).toSorted()).toEqual([
      'README.md',
      'a.txt',
      'package.toml',
      'sub'
    ])
  })

  test('a package of 5,000 files installs, and is verified', async () => {
    const files = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`d${i % 50}/f${i}.txt`, `${i}\n`]))
    await on.publish({ name: 'many', files })
    const project = await tempDir('project')
    await on.install(project, ['many'])
    expect(await on.install(project)).toMatchObject({ upToDate: true })
    await writeFile(join(project, '.ggen/packages/many/d7/f7.txt'), '8\n')
    const { packages } = await verifyProject(project, new AbortController().signal)
    expect(packages).toMatchObject([{ state: 'modified', modified: ['d7/f7.txt'], missing: [], extra: [] }])
  })

  test('a lockfile that no statement here backs is refused, and says what to connect to', async () => {
    const home = await tempDir('home')
    const poor = await createNode({ home, network: false })
    try {
      const project = await tempDir('project')
      await on.install(project, ['lib'])
      const [acme] = (await on.node.registries.list()).filter(({ alias }) => alias === 'acme')
      await poor.registries.add(acme?.id ?? '', { alias: 'acme' })
      expect(await refusal(poor.call('install', { project, references: [] }))).toMatchObject({
        code: 'LOCKFILE_INVALID',
        next: containing('ggen-node connect')
      })
    } finally {
      await poor.stop()
    }
  })
})
