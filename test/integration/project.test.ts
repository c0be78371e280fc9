import { cp, mkdir, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyProject } from '../../node/installed.ts'
import { currentBoot } from '../../storage/process-identity.ts'
import { containing } from '../support/like.ts'
import { lockOf, projectNode, refusal, snapshot, textIn, versionsIn } from '../support/project.ts'
import type { ProjectNode } from '../support/project.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

let on: ProjectNode

beforeAll(async () => {
  on = await projectNode()
})
afterAll(() => on.node.stop())

describe('install', () => {
  test('writes the wish, the lock and the packages, and a second one does nothing at all', async () => {
    const project = await tempDir('project')
    const first = await on.install(project, ['app'])
    expect(first).toMatchObject({
      installed: [{ id: 'base', action: 'added' }, { id: 'lib' }, { id: 'app', was: null, version: '1.0.0' }],
      changes: [{ id: 'app', from: null, to: '1.0.0' }, { id: 'base', to: '1.1.0' }, { id: 'lib' }],
      upToDate: false
    })
    expect(await textIn(project, '.ggen/project.toml')).toContain('[packages]\napp = "^1.0.0"\n')
    expect(await textIn(project, '.ggen/packages/base/src/one.txt')).toBe('one, better\n')
    const before = await snapshot(project)
    for (const references of [[], ['app'], ['app@^1.0.0']]) {
      const again = await on.install(project, references)
      expect(again).toMatchObject({ upToDate: true, changes: [], lockChanged: false, projectChanged: false })
      expect(again.installed.map(({ action }) => action)).toEqual(['unchanged', 'unchanged', 'unchanged'])
    }
    expect(await snapshot(project)).toEqual(before)
  })

  test('reproduces the lockfile in a fresh clone, whatever was published since', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib', 'base@~1.0.0'])
    const clone = await tempDir('clone')
    await mkdir(join(clone, '.ggen'))
    for (const file of ['.ggen/project.toml', '.ggen/packs.lock'])
      await writeFile(join(clone, file), await textIn(project, file))
    const result = await on.install(clone, [], { frozen: true, offline: true })
    expect(result.installed.map(({ id, version }) => `${id}@${version}`)).toEqual(['base@1.0.0', 'lib@1.0.0'])
    expect(await textIn(clone, '.ggen/packs.lock')).toBe(await textIn(project, '.ggen/packs.lock'))
    expect(await verifyProject(clone, new AbortController().signal)).toMatchObject({ clean: true })
  })

  test('takes what a wish in the project file asks for, and holds everything else where it is', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@=1.0.0'])
    const file = join(project, '.ggen/project.toml')
    await writeFile(file, `# ours\n[packages]\nbase = "^1.0.0" # loose\n"lib" = "*"\n`)
    const result = await on.install(project)
    expect(result.changes).toEqual([{ id: 'lib', name: 'lib', alias: 'acme', from: null, to: '1.0.0' }])
    expect(await versionsIn(project)).toEqual({ base: '1.0.0', lib: '1.0.0' })
    expect(await readFile(file, 'utf8')).toBe(`# ours\n[packages]\nbase = "^1.0.0" # loose\n"lib" = "*"\n`)
  })

  test('--frozen says what would change and changes nothing', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nlib = "^1.0.0"\nbase = "=1.0.0"\n')
    const before = await snapshot(project)
    const error = await refusal(on.install(project, [], { frozen: true }))
    expect(error.code).toBe('LOCKFILE_OUTDATED')
    expect(error.tried).toEqual(['base is wanted and not locked', 'base would go from 1.1.0 to 1.0.0'])
    expect(await snapshot(project)).toEqual(before)
    expect(await refusal(on.install(project, ['app'], { frozen: true }))).toMatchObject({ code: 'LOCKFILE_OUTDATED' })
  })

  test('--dry-run says what would be done and does nothing', async () => {
    const project = await tempDir('project')
    const result = await on.install(project, ['app'], { dryRun: true })
    expect(result).toMatchObject({ dryRun: true, upToDate: false, installed: [{}, {}, { id: 'app', action: 'added' }] })
    expect(await readdir(project)).toEqual([])
  })

  test('--no-deps puts only what is named in its place, and the lockfile holds all the same', async () => {
    const project = await tempDir('project')
    await on.install(project, ['app'], { noDeps: true })
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['app'])
    expect(await versionsIn(project)).toEqual({ app: '1.0.0', base: '1.1.0', lib: '1.0.0' })
    await on.install(project)
    expect((await readdir(join(project, '.ggen/packages'))).toSorted()).toEqual(['app', 'base', 'lib'])
  })

  test('two packages of one name from two registries do not collide', async () => {
    await on.publish({ name: 'base', version: '7.0.0', files: { 'from.txt': 'other\n' } }, 'other')
    const project = await tempDir('project')
    await on.install(project, ['base', 'other:base'])
    await on.install(project, ['base'], { registry: 'acme' })
    const { packs } = await lockOf(project)
    const ids = Object.keys(packs)
    expect(ids).toEqual([expect.stringMatching(/^bafyrei[a-z2-7]+:ggen\/base$/), 'base'])
    expect(await textIn(project, '.ggen/project.toml')).toContain('base = "^2.0.0"\n"other:base" = "^7.0.0"\n')
    const long = String(packs[ids[0] ?? '']?.['registry'])
    expect(await textIn(project, `.ggen/packages/${long.slice(-16)}/ggen/base/from.txt`)).toBe('other\n')
    await on.remove(project, ['other:base'])
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })

  test('keeps to [packs] of a ggen.toml where there is one, and leaves the rest of the file alone', async () => {
    const project = await tempDir('project')
    const rest = '[project]\nname = "billing" # do not touch\n\n[packs]\nlib = "^1.0.0"\n\n[variables]\nport = 8080\n'
    await writeFile(join(project, 'ggen.toml'), rest)
    await on.install(project, ['base@^1.0.0'])
    expect(await textIn(project, 'ggen.toml')).toBe(
      rest.replace('lib = "^1.0.0"\n', 'lib = "^1.0.0"\nbase = "^1.0.0"\n')
    )
    expect(await readdir(join(project, '.ggen'))).not.toContain('project.toml')
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\n')
    expect(await refusal(on.install(project))).toMatchObject({ code: 'PROJECT_INVALID', message: containing('both') })
  })

  test('an override holds in the whole tree, and is noticed when it comes and when it goes', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    const file = join(project, '.ggen/project.toml')
    await writeFile(file, '[packages]\nlib = "^1.0.0"\n[overrides]\nbase = "=2.0.0"\n')
    const result = await on.install(project)
    expect(await versionsIn(project)).toEqual({ base: '2.0.0', lib: '1.0.0' })
    expect(result.overridden).toMatchObject([{ name: 'ggen/base', instead: [{ range: '^1.0.0', by: 'lib@1.0.0' }] }])
    expect(await on.install(project)).toMatchObject({ upToDate: true })
    await writeFile(file, '[packages]\nlib = "^1.0.0"\n')
    await on.install(project)
    expect(await versionsIn(project)).toEqual({ base: '1.1.0', lib: '1.0.0' })
  })
})

describe('update, remove, outdated', () => {
  test('update moves what is named, within the ranges of the project, and says from where to where', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@=1.0.0', 'lib'])
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nbase = "^1.0.0"\nlib = "^1.0.0"\n')
    await on.install(project)
    expect(await versionsIn(project)).toEqual({ base: '1.0.0', lib: '1.0.0' })
    expect(await on.node.call('outdated', { project })).toMatchObject({
      outdated: [{ id: 'base', current: '1.0.0', wanted: '1.1.0', latest: '2.0.0', requested: '^1.0.0' }]
    })
    expect(await on.update(project, ['lib'])).toMatchObject({ changes: [] })
    expect(await on.update(project, ['base'])).toMatchObject({
      changes: [{ id: 'base', from: '1.0.0', to: '1.1.0' }],
      installed: [{ id: 'base', action: 'replaced', was: '1.0.0' }]
    })
    expect(await on.update(project)).toMatchObject({ changes: [], upToDate: true })
    expect(await refusal(on.update(project, ['nothing']))).toMatchObject({ code: 'NOT_IN_PROJECT' })
    expect(await refusal(on.update(project, ['base@^2.0.0']))).toMatchObject({ code: 'USAGE' })
  })

  test('remove takes away what only that needed, and refuses what others need', async () => {
    const project = await tempDir('project')
    await on.install(project, ['app', 'base@^1.0.0'])
    expect(await refusal(on.remove(project, ['lib']))).toMatchObject({
      code: 'NOT_IN_PROJECT',
      next: containing('why lib')
    })
    const result = await on.remove(project, ['app'])
    expect(result.removed.toSorted()).toEqual(['.ggen/packages/app', '.ggen/packages/lib'])
    expect(await versionsIn(project)).toEqual({ base: '1.1.0' })
    expect(await textIn(project, '.ggen/project.toml')).not.toContain('app')
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })
})

describe('verbs that read files need neither node nor home', () => {
  test('list, tree, why and verify', async () => {
    const project = await tempDir('project')
    await on.install(project, ['app', 'base@^1.0.0'])
    const home = join(await tempDir('nowhere'), 'home')
    const cli = (...args: readonly string[]) =>
      runCli(args, { cwd: project, home: project, env: { GGEN_NODE_HOME: home } })
    expect((await cli('tree')).stdout).toBe('app@1.0.0\n└── lib@1.0.0\n    └── base@1.1.0\nbase@1.1.0\n')
    expect((await cli('why', 'base')).stdout).toBe('base@1.1.0\n  app > lib > base\n  this project wants it: ^1.0.0\n')
    expect(JSON.parse((await cli('list', '--json')).stdout)).toMatchObject({
      ok: true,
      installed: [{ id: 'app' }, {}, {}]
    })
    expect(await cli('verify')).toMatchObject({ code: 0, stdout: containing('ok        app@1.0.0') })
    expect(await cli('why', 'nothing')).toMatchObject({ code: 10, stderr: containing('NOT_IN_PROJECT') })
    await expect(stat(home)).rejects.toThrow('ENOENT')
  })

  test('verify names what is modified, missing and extra, and ends with 4', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    await writeFile(join(project, '.ggen/packages/base/src/one.txt'), 'mine\n')
    await rm(join(project, '.ggen/packages/base/README.md'))
    await mkdir(join(project, '.ggen/packages/base/node_modules'))
    await writeFile(join(project, '.ggen/packages/base/node_modules/new.txt'), 'mine\n')
    await mkdir(join(project, '.ggen/packages/stranger'))
    await rm(join(project, '.ggen/packages/lib'), { recursive: true })
    const { code, stdout } = await runCli(['--json', 'verify'], { cwd: project })
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      clean: false,
      packages: [
        {
          id: 'base',
          state: 'modified',
          modified: ['src/one.txt'],
          missing: ['README.md'],
          extra: ['node_modules/new.txt']
        },
        { id: 'lib', state: 'missing' }
      ],
      extra: ['.ggen/packages/stranger']
    })
  })
})

describe('what somebody changed', () => {
  test('is kept, named, and overwritten with --force', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@^1.0.0'])
    const file = join(project, '.ggen/packages/base/src/one.txt')
    await writeFile(file, 'mine\n')
    const error = await refusal(on.install(project))
    expect(error).toMatchObject({ code: 'LOCALLY_MODIFIED', tried: ['modified: .ggen/packages/base/src/one.txt'] })
    expect(await readFile(file, 'utf8')).toBe('mine\n')
    // Another package is none of its business.
    expect(await on.install(project, ['single'])).toMatchObject({
      installed: [
        { id: 'base', action: 'left' },
        { id: 'single', action: 'added' }
      ],
      warnings: [{ code: 'kept', id: 'base' }]
    })
  })

  test('is found although size and time of the file are as they were', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@^1.0.0'])
    const file = join(project, '.ggen/packages/base/src/one.txt')
    const { atime, mtime } = await stat(file)
    await writeFile(file, 'one, worse!\n')
    await utimes(file, atime, mtime)
    expect(await refusal(on.install(project))).toMatchObject({ code: 'LOCALLY_MODIFIED' })
    expect(await on.install(project, [], { force: true })).toMatchObject({ installed: [{ action: 'replaced' }] })
    expect(await readFile(file, 'utf8')).toBe('one, better\n')
  })

  test('stays when nothing needs the package any more', async () => {
    const project = await tempDir('project')
    await on.install(project, ['lib'])
    await writeFile(join(project, '.ggen/packages/base/mine.txt'), 'mine\n')
    const result = await on.remove(project, ['lib'])
    expect(result.removed).toEqual(['.ggen/packages/lib'])
    expect(result.warnings).toMatchObject([{ code: 'kept', text: containing('.ggen/packages/base') }])
    expect(await textIn(project, '.ggen/packages/base/mine.txt')).toBe('mine\n')
  })

  test('is not what an install or a registry put there: another version goes without --force', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@=1.0.0'])
    const old = await textIn(project, '.ggen/packs.lock')
    await on.install(project, ['base@=1.1.0'])
    await writeFile(join(project, '.ggen/packs.lock'), old)
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nbase = "=1.0.0"\n')
    await rm(join(project, '.ggen/.state.json'))
    expect(await on.install(project)).toMatchObject({ installed: [{ action: 'replaced', version: '1.0.0' }] })
    expect(await textIn(project, '.ggen/packages/base/src/one.txt')).toBe('one\n')
  })
})

describe('more than one at a time', () => {
  test('installs into one project take turns, and all of them hold', async () => {
    const project = await tempDir('project')
    const results = await Promise.all([
      on.install(project, ['app']),
      on.install(project, ['base@^1.0.0']),
      on.install(project, ['lib'])
    ])
    expect(results).toHaveLength(3)
    expect(Object.keys(await versionsIn(project))).toEqual(['app', 'base', 'lib'])
    expect(await textIn(project, '.ggen/project.toml')).toMatch(/app[^]*base|base[^]*app/)
    expect(await on.install(project)).toMatchObject({ upToDate: true })
    expect(await readdir(join(project, '.ggen'))).not.toContain('.lock')
  })

  test('a lock that a dead process left is taken over', async () => {
    const project = await tempDir('project')
    await mkdir(join(project, '.ggen'))
    await writeFile(join(project, '.ggen/.lock'), `${2 ** 22 + 1} - ${'0'.repeat(32)}\n`)
    await on.install(project, ['base'])
    expect(await readdir(join(project, '.ggen'))).not.toContain('.lock')
  })

  test('an interrupted install is ended by the next one, which takes its own work for nobody’s edits', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@=1.0.0'])
    const clone = await tempDir('clone')
    await on.install(clone, ['base@=1.1.0'])
    // What a crash leaves after the package was put in its place and before the lockfile was written.
    const cid = ((await lockOf(clone)).packs['base'] ?? {})['cid']
    await rm(join(project, '.ggen/packages/base'), { recursive: true })
    await cp(join(clone, '.ggen/packages/base'), join(project, '.ggen/packages/base'), { recursive: true })
    const journal = { format: 1, packs: [{ path: '.ggen/packages/base', cid }] }
    await writeFile(join(project, '.ggen/.journal.json'), JSON.stringify(journal))
    await mkdir(join(project, '.ggen/packages/.base.ggen-new'))
    expect(await on.install(project)).toMatchObject({ installed: [{ action: 'replaced', version: '1.0.0' }] })
    expect((await readdir(join(project, '.ggen'))).toSorted()).toEqual([
      '.state.json',
      'packages',
      'packs.lock',
      'project.toml',
      'receipts'
    ])
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })

  test('what a power cut took bytes from is put back, and is nobody’s edit', async () => {
    const project = await tempDir('project')
    await on.install(project, ['base@^1.0.0'])
    const { packs } = await lockOf(project)
    const file = join(project, '.ggen/packages/base/src/one.txt')
    await truncate(file)
    const journal = { format: 1, nonce: '0', packs: [{ path: '.ggen/packages/base', cid: packs['base']?.['cid'] }] }
    const write = async (boot: string) =>
      writeFile(join(project, '.ggen/.journal.json'), JSON.stringify({ ...journal, boot, phase: 'syncing' }))
    // In the same run of the system nothing is lost: whatever differs was somebody.
    await write(currentBoot())
    expect(await refusal(on.install(project))).toMatchObject({ code: 'LOCALLY_MODIFIED' })
    await write('an earlier one')
    expect(await on.install(project)).toMatchObject({ installed: [{ action: 'replaced' }] })
    expect(await readFile(file, 'utf8')).toBe('one, better\n')
    expect(await readdir(join(project, '.ggen'))).not.toContain('.journal.json')
  })
})
