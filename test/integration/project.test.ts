import { chmod, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNode } from '../../node/index.ts'
import type { EmbeddedNode } from '../../node/index.ts'
import { verifyProject } from '../../node/installed.ts'
import type { InstallResult } from '../../node/services/install.ts'
import type { ApiMethods } from '../../node/services/api.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { containing } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import type { PackageSpec } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

// One node in this process, without a network, and two registries: what is tested is what happens in a project folder.
let node: EmbeddedNode

type Options = Omit<ApiMethods['install']['params'], 'project' | 'references'>

const publish = async (spec: PackageSpec, registry = 'acme') => node.publish(await packageFolder(spec), { registry })
const install = (project: string, references: readonly string[] = [], options: Options = {}) =>
  node.call('install', { project, references, ...options })
const update = (project: string, names: readonly string[] = []) => node.call('update', { project, names })
const remove = (project: string, names: readonly string[]) => node.call('remove', { project, names })
const text = (project: string, path: string): Promise<string> => readFile(join(project, path), 'utf8')
const lockOf = (project: string): Promise<string> => text(project, '.ggen/packs.lock')
const versionsIn = async (project: string): Promise<Record<string, string>> => {
  const { packs } = JSON.parse(await lockOf(project)) as { packs: Record<string, { version: string }> }
  return Object.fromEntries(Object.entries(packs).map(([id, { version }]) => [id, version]))
}
const editLock = async (project: string, change: (json: LockJson) => unknown): Promise<void> => {
  const json = JSON.parse(await lockOf(project)) as LockJson
  change(json)
  await writeFile(join(project, '.ggen/packs.lock'), `${JSON.stringify(json, null, 2)}\n`)
}
type LockJson = { packs: Record<string, Record<string, unknown>> } & Record<string, unknown>

const refusal = async (call: Promise<unknown>): Promise<RegistryError> => {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown
  )
  if (error instanceof RegistryError) return error
  throw new Error('it was not refused', { cause: error })
}

/** Every file of a project with its times: equal before and after, nothing was written. */
const snapshot = async (project: string): Promise<readonly string[]> => {
  const entries = await readdir(project, { recursive: true, withFileTypes: true })
  const lines = entries.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name)
    const { ino, mtimeMs, ctimeMs } = await stat(path)
    return `${path} ${ino} ${mtimeMs} ${ctimeMs}`
  })
  return (await Promise.all(lines)).toSorted()
}

beforeAll(async () => {
  node = await createNode({ home: await tempDir('home'), network: false })
  await node.registries.create('acme')
  await node.registries.create('other', { alias: 'other' })
  await publish({ name: 'base', files: { 'src/one.txt': 'one\n' } })
  await publish({ name: 'base', version: '1.1.0', files: { 'src/one.txt': 'one, better\n' } })
  await publish({ name: 'base', version: '2.0.0' })
  await publish({ name: 'lib', dependencies: { base: '^1.0.0' } })
  await publish({ name: 'app', dependencies: { lib: '^1.0.0' } })
  await publish({ name: 'single' })
}, 30_000)
afterAll(() => node.stop())

describe('install', () => {
  test('writes the wish, the lock and the packages, and a second one does nothing at all', async () => {
    const project = await tempDir('project')
    const first = await install(project, ['app'])
    expect(first).toMatchObject({
      installed: [{ id: 'base', action: 'added' }, { id: 'lib' }, { id: 'app', was: null, version: '1.0.0' }],
      changes: [{ id: 'app', from: null, to: '1.0.0' }, { id: 'base', to: '1.1.0' }, { id: 'lib' }],
      upToDate: false
    })
    expect(await text(project, '.ggen/project.toml')).toContain('[packages]\napp = "^1.0.0"\n')
    expect(await text(project, '.ggen/packages/base/src/one.txt')).toBe('one, better\n')
    const before = await snapshot(project)
    for (const references of [[], ['app'], ['app@^1.0.0']]) {
      const again = await install(project, references)
      expect(again).toMatchObject({ upToDate: true, changes: [], lockChanged: false, projectChanged: false })
      expect(again.installed.map(({ action }) => action)).toEqual(['unchanged', 'unchanged', 'unchanged'])
    }
    expect(await snapshot(project)).toEqual(before)
  })

  test('reproduces the lockfile in a fresh clone, whatever was published since', async () => {
    const project = await tempDir('project')
    await install(project, ['lib', 'base@~1.0.0'])
    const clone = await tempDir('clone')
    await mkdir(join(clone, '.ggen'))
    for (const file of ['.ggen/project.toml', '.ggen/packs.lock'])
      await writeFile(join(clone, file), await text(project, file))
    const result = await install(clone, [], { frozen: true, offline: true })
    expect(result.installed.map(({ id, version }) => `${id}@${version}`)).toEqual(['base@1.0.0', 'lib@1.0.0'])
    expect(await lockOf(clone)).toBe(await lockOf(project))
    expect(await verifyProject(clone, new AbortController().signal)).toMatchObject({ clean: true })
  })

  test('takes what a wish in the project file asks for, and holds everything else where it is', async () => {
    const project = await tempDir('project')
    await install(project, ['base@=1.0.0'])
    const file = join(project, '.ggen/project.toml')
    await writeFile(file, `# ours\n[packages]\nbase = "^1.0.0" # loose\n"lib" = "*"\n`)
    const result = await install(project)
    expect(result.changes).toEqual([{ id: 'lib', from: null, to: '1.0.0' }])
    expect(await versionsIn(project)).toEqual({ base: '1.0.0', lib: '1.0.0' })
    expect(await readFile(file, 'utf8')).toBe(`# ours\n[packages]\nbase = "^1.0.0" # loose\n"lib" = "*"\n`)
  })

  test('--frozen says what would change and changes nothing', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nlib = "^1.0.0"\nbase = "=1.0.0"\n')
    const before = await snapshot(project)
    const error = await refusal(install(project, [], { frozen: true }))
    expect(error.code).toBe('LOCKFILE_OUTDATED')
    expect(error.tried).toEqual(['base is wanted and not locked', 'base would go from 1.1.0 to 1.0.0'])
    expect(await snapshot(project)).toEqual(before)
    expect(await refusal(install(project, ['app'], { frozen: true }))).toMatchObject({ code: 'LOCKFILE_OUTDATED' })
  })

  test('--dry-run says what would be done and does nothing', async () => {
    const project = await tempDir('project')
    const result = await install(project, ['app'], { dryRun: true })
    expect(result).toMatchObject({ dryRun: true, upToDate: false, installed: [{}, {}, { id: 'app', action: 'added' }] })
    expect(await readdir(project)).toEqual([])
  })

  test('--no-deps puts only what is named in its place, and the lockfile holds all the same', async () => {
    const project = await tempDir('project')
    await install(project, ['app'], { noDeps: true })
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['app'])
    expect(await versionsIn(project)).toEqual({ app: '1.0.0', base: '1.1.0', lib: '1.0.0' })
    await install(project)
    expect((await readdir(join(project, '.ggen/packages'))).toSorted()).toEqual(['app', 'base', 'lib'])
  })

  test('two packages of one name from two registries do not collide', async () => {
    await publish({ name: 'base', version: '7.0.0', files: { 'from.txt': 'other\n' } }, 'other')
    const project = await tempDir('project')
    await install(project, ['base', 'other:base'])
    await install(project, ['base'], { registry: 'acme' })
    const { packs } = JSON.parse(await lockOf(project)) as LockJson
    const ids = Object.keys(packs)
    expect(ids).toEqual([expect.stringMatching(/^bafyrei[a-z2-7]+:ggen\/base$/), 'base'])
    expect(await text(project, '.ggen/project.toml')).toContain('base = "^2.0.0"\n"other:base" = "^7.0.0"\n')
    const long = String(packs[ids[0] ?? '']?.['registry'])
    expect(await text(project, `.ggen/packages/${long.slice(-16)}/ggen/base/from.txt`)).toBe('other\n')
    await remove(project, ['other:base'])
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })

  test('keeps to [packs] of a ggen.toml where there is one, and leaves the rest of the file alone', async () => {
    const project = await tempDir('project')
    const rest = '[project]\nname = "billing" # do not touch\n\n[packs]\nlib = "^1.0.0"\n\n[variables]\nport = 8080\n'
    await writeFile(join(project, 'ggen.toml'), rest)
    await install(project, ['base@^1.0.0'])
    expect(await text(project, 'ggen.toml')).toBe(rest.replace('lib = "^1.0.0"\n', 'lib = "^1.0.0"\nbase = "^1.0.0"\n'))
    expect(await readdir(join(project, '.ggen'))).not.toContain('project.toml')
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\n')
    expect(await refusal(install(project))).toMatchObject({ code: 'PROJECT_INVALID', message: containing('both') })
  })

  test('an override holds in the whole tree, and is noticed when it comes and when it goes', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    const file = join(project, '.ggen/project.toml')
    await writeFile(file, '[packages]\nlib = "^1.0.0"\n[overrides]\nbase = "=2.0.0"\n')
    const result = await install(project)
    expect(await versionsIn(project)).toEqual({ base: '2.0.0', lib: '1.0.0' })
    expect(result.overridden).toMatchObject([{ name: 'ggen/base', instead: [{ range: '^1.0.0', by: 'lib@1.0.0' }] }])
    expect(await install(project)).toMatchObject({ upToDate: true })
    await writeFile(file, '[packages]\nlib = "^1.0.0"\n')
    await install(project)
    expect(await versionsIn(project)).toEqual({ base: '1.1.0', lib: '1.0.0' })
  })
})

describe('update, remove, outdated', () => {
  test('update moves what is named, within the ranges of the project, and says from where to where', async () => {
    const project = await tempDir('project')
    await install(project, ['base@=1.0.0', 'lib'])
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nbase = "^1.0.0"\nlib = "^1.0.0"\n')
    await install(project)
    expect(await versionsIn(project)).toEqual({ base: '1.0.0', lib: '1.0.0' })
    expect(await node.call('outdated', { project })).toMatchObject({
      outdated: [{ id: 'base', current: '1.0.0', wanted: '1.1.0', latest: '2.0.0', requested: '^1.0.0' }]
    })
    expect(await update(project, ['lib'])).toMatchObject({ changes: [] })
    expect(await update(project, ['base'])).toMatchObject({
      changes: [{ id: 'base', from: '1.0.0', to: '1.1.0' }],
      installed: [{ id: 'base', action: 'replaced', was: '1.0.0' }]
    })
    expect(await update(project)).toMatchObject({ changes: [], upToDate: true })
    expect(await refusal(update(project, ['nothing']))).toMatchObject({ code: 'NOT_IN_PROJECT' })
    expect(await refusal(update(project, ['base@^2.0.0']))).toMatchObject({ code: 'USAGE' })
  })

  test('remove takes away what only that needed, and refuses what others need', async () => {
    const project = await tempDir('project')
    await install(project, ['app', 'base@^1.0.0'])
    expect(await refusal(remove(project, ['lib']))).toMatchObject({
      code: 'NOT_IN_PROJECT',
      next: containing('why lib')
    })
    const result = await remove(project, ['app'])
    expect(result.removed.toSorted()).toEqual(['.ggen/packages/app', '.ggen/packages/lib'])
    expect(await versionsIn(project)).toEqual({ base: '1.1.0' })
    expect(await text(project, '.ggen/project.toml')).not.toContain('app')
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })
})

describe('verbs that read files need neither node nor home', () => {
  test('list, tree, why and verify', async () => {
    const project = await tempDir('project')
    await install(project, ['app', 'base@^1.0.0'])
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
    await install(project, ['lib'])
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
    await install(project, ['base@^1.0.0'])
    const file = join(project, '.ggen/packages/base/src/one.txt')
    await writeFile(file, 'mine\n')
    const error = await refusal(install(project))
    expect(error).toMatchObject({ code: 'LOCALLY_MODIFIED', tried: ['modified: .ggen/packages/base/src/one.txt'] })
    expect(await readFile(file, 'utf8')).toBe('mine\n')
    // Another package is none of its business.
    expect(await install(project, ['single'])).toMatchObject({
      installed: [
        { id: 'base', action: 'left' },
        { id: 'single', action: 'added' }
      ],
      warnings: [{ code: 'kept', id: 'base' }]
    })
  })

  test('is found although size and time of the file are as they were', async () => {
    const project = await tempDir('project')
    await install(project, ['base@^1.0.0'])
    const file = join(project, '.ggen/packages/base/src/one.txt')
    const { atime, mtime } = await stat(file)
    await writeFile(file, 'one, worse!\n')
    const { utimes } = await import('node:fs/promises')
    await utimes(file, atime, mtime)
    expect(await refusal(install(project))).toMatchObject({ code: 'LOCALLY_MODIFIED' })
    expect(await install(project, [], { force: true })).toMatchObject({ installed: [{ action: 'replaced' }] })
    expect(await readFile(file, 'utf8')).toBe('one, better\n')
  })

  test('stays when nothing needs the package any more', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    await writeFile(join(project, '.ggen/packages/base/mine.txt'), 'mine\n')
    const result = await remove(project, ['lib'])
    expect(result.removed).toEqual(['.ggen/packages/lib'])
    expect(result.warnings).toMatchObject([{ code: 'kept', text: containing('.ggen/packages/base') }])
    expect(await text(project, '.ggen/packages/base/mine.txt')).toBe('mine\n')
  })

  test('is not what an install or a registry put there: another version goes without --force', async () => {
    const project = await tempDir('project')
    await install(project, ['base@=1.0.0'])
    const old = await lockOf(project)
    await install(project, ['base@=1.1.0'])
    await writeFile(join(project, '.ggen/packs.lock'), old)
    await writeFile(join(project, '.ggen/project.toml'), '[packages]\nbase = "=1.0.0"\n')
    await rm(join(project, '.ggen/.state.json'))
    expect(await install(project)).toMatchObject({ installed: [{ action: 'replaced', version: '1.0.0' }] })
    expect(await text(project, '.ggen/packages/base/src/one.txt')).toBe('one\n')
  })
})

describe('bad input', () => {
  test('a cycle of dependencies installs', async () => {
    await publish({ name: 'chicken', dependencies: { egg: '*' } }).catch(() => undefined)
    await publish({ name: 'egg', dependencies: { chicken: '*' } })
    const project = await tempDir('project')
    expect((await install(project, ['chicken'])).installed.map(({ id }) => id).toSorted()).toEqual(['chicken', 'egg'])
    expect(await install(project)).toMatchObject({ upToDate: true })
    expect((await runCli(['tree'], { cwd: project })).stdout).toContain('chicken@1.0.0 (see above)')
  })

  test('impossible ranges are refused with the reasons, and nothing is touched', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    const before = await snapshot(project)
    const error = await refusal(install(project, ['base@^2.0.0']))
    expect(error).toMatchObject({ code: 'UNSOLVABLE' })
    expect(error.tried.join('\n')).toContain('lib 1.0.0 needs base ^1.0.0')
    expect(await snapshot(project)).toEqual(before)
  })

  test('a dependency that only another followed registry has is refused, and that registry is named', async () => {
    await publish({ name: 'elsewhere' }, 'other')
    await publish({ name: 'needy', dependencies: { elsewhere: '^1.0.0' } })
    const error = await refusal(install(await tempDir('project'), ['needy']))
    expect(error).toMatchObject({ code: 'MISSING_DEPENDENCY', next: containing('its own registry') })
    expect(error.tried).toContain('registry other holds a package elsewhere, acme does not')
  })

  test('a lockfile with the content id of something else is refused, and both ids are named', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    const { cid } = await node.publish(await packageFolder({ name: 'planted' }))
    let own = ''
    await editLock(project, ({ packs }) => {
      own = String(packs['base']?.['cid'])
      Object.assign(packs['base'] ?? {}, { cid })
    })
    const error = await refusal(install(project))
    expect(error.code).toBe('LOCKFILE_INVALID')
    expect(error.message).toContain(cid)
    expect(error.message).toContain(own)
    // The way out that the message names.
    expect(await update(project)).toMatchObject({ lockChanged: true })
    expect(await install(project)).toMatchObject({ upToDate: true })
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
    await install(project, ['lib'])
    await editLock(project, change)
    expect(await refusal(install(project))).toMatchObject({ code: 'LOCKFILE_INVALID', message: containing(says) })
  })

  test('unknown fields of a lockfile ride along', async () => {
    const project = await tempDir('project')
    await install(project, ['lib'])
    await editLock(
      project,
      json => Object.assign(json, { zeta: { deep: [1] } }) && Object.assign(json.packs['base'] ?? {}, { pqc: 'x' })
    )
    expect(await install(project)).toMatchObject({ upToDate: true })
    await install(project, ['app'])
    const json = JSON.parse(await lockOf(project)) as LockJson
    expect([json['zeta'], json.packs['base']?.['pqc']]).toEqual([{ deep: [1] }, 'x'])
  })

  test('a lockfile of a future version is left alone', async () => {
    const project = await tempDir('project')
    await install(project, ['base'])
    await editLock(project, json => Object.assign(json, { lock_format: 2 }))
    const before = await snapshot(project)
    const error = await refusal(install(project))
    expect(error).toMatchObject({ code: 'LOCKFILE_INVALID', next: containing('update ggen-node') })
    expect(await snapshot(project)).toEqual(before)
  })

  test('merge markers in a lockfile are explained with their line', async () => {
    const project = await tempDir('project')
    await install(project, ['base'])
    const lines = (await lockOf(project)).split('\n')
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
    const error = await refusal(install(project))
    expect(error).toMatchObject({ code: 'LOCKFILE_INVALID', message: containing('line 4'), next: containing('--ours') })
  })

  test('a project path with spaces and non-ASCII characters works', async () => {
    const project = join(await tempDir('project'), 'meine Projekte', 'größer ✓ 日本')
    await install(project, ['lib'])
    expect(await verifyProject(project, new AbortController().signal)).toMatchObject({ clean: true })
    expect(await runCli(['verify', '--dir', project])).toMatchObject({ code: 0 })
    expect(await install(project)).toMatchObject({ upToDate: true })
  })

  test('a project folder that cannot be written to is named', async () => {
    // Who may do everything is not kept out by a mode; what the kernel keeps to itself is closed to root as well.
    const isRoot = process.getuid?.() === 0
    const project = isRoot ? '/sys/kernel' : await tempDir('project')
    if (!isRoot) await chmod(project, 0o555)
    const error = await refusal(install(project, ['base']))
    expect(error).toMatchObject({ code: 'PROJECT_READ_ONLY', message: containing(project) })
    if (!isRoot) await chmod(project, 0o755)
  })

  test('a package folder that is a link is not followed', async () => {
    const project = await tempDir('project')
    const elsewhere = await tempDir('elsewhere')
    await mkdir(join(project, '.ggen'))
    await symlink(elsewhere, join(project, '.ggen/packages'))
    expect(await refusal(install(project, ['base']))).toMatchObject({
      code: 'HOSTILE_PATH',
      message: containing('a link')
    })
    expect(await readdir(elsewhere)).toEqual([])
  })

  test('a state file that names folders outside the project removes nothing there', async () => {
    const project = await tempDir('project')
    await install(project, ['base'])
    const victim = await tempDir('victim')
    await writeFile(join(victim, 'kept.txt'), 'kept\n')
    const state = JSON.parse(await text(project, '.ggen/.state.json')) as { packs: Record<string, unknown> }
    const outside = `.ggen/packages/../../../${victim.split('/').at(-1) ?? ''}`
    state.packs = { ...state.packs, [outside]: state.packs['.ggen/packages/base'] }
    await writeFile(join(project, '.ggen/.state.json'), JSON.stringify(state))
    expect(await install(project, [], { force: true })).toMatchObject({ removed: [] })
    expect(await readdir(victim)).toEqual(['kept.txt'])
  })

  test('a package that ships .ggen and node_modules of its own is published without them', async () => {
    const files = {
      '.ggen/packs.lock': '{}',
      'sub/.ggen/project.toml': '',
      'node_modules/x/index.js': '',
      'a.txt': 'a\n'
    }
    const { leftOut } = await publish({ name: 'shipper', files })
    expect(leftOut).toEqual(['.ggen/', 'node_modules/', 'sub/.ggen/'])
    const project = await tempDir('project')
    await install(project, ['shipper'])
    expect((await readdir(join(project, '.ggen/packages/shipper'))).toSorted()).toEqual([
      'README.md',
      'a.txt',
      'package.toml',
      'sub'
    ])
  })

  test('a package of 5,000 files installs, and is verified', async () => {
    const files = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`d${i % 50}/f${i}.txt`, `${i}\n`]))
    await publish({ name: 'many', files })
    const project = await tempDir('project')
    await install(project, ['many'])
    expect(await install(project)).toMatchObject({ upToDate: true })
    await writeFile(join(project, '.ggen/packages/many/d7/f7.txt'), '8\n')
    const { packages } = await verifyProject(project, new AbortController().signal)
    expect(packages).toMatchObject([{ state: 'modified', modified: ['d7/f7.txt'], missing: [], extra: [] }])
  }, 60_000)

  test('an install without bytes says --offline and which package lacks them', async () => {
    const home = await tempDir('home')
    const poor = await createNode({ home, network: false })
    try {
      const project = await tempDir('project')
      await install(project, ['lib'])
      const [acme] = (await node.registries.list()).filter(({ alias }) => alias === 'acme')
      await poor.registries.add(acme?.id ?? '', { alias: 'acme' })
      expect(await refusal(poor.call('install', { project, references: [] }))).toMatchObject({
        code: 'LOCKFILE_INVALID'
      })
    } finally {
      await poor.stop()
    }
  })
})

describe('more than one at a time', () => {
  test('installs into one project take turns, and all of them hold', async () => {
    const project = await tempDir('project')
    const results: InstallResult[] = await Promise.all([
      install(project, ['app']),
      install(project, ['base@^1.0.0']),
      install(project, ['lib'])
    ])
    expect(results).toHaveLength(3)
    expect(Object.keys(await versionsIn(project))).toEqual(['app', 'base', 'lib'])
    expect(await text(project, '.ggen/project.toml')).toMatch(/app[^]*base|base[^]*app/)
    expect(await install(project)).toMatchObject({ upToDate: true })
    expect(await readdir(join(project, '.ggen'))).not.toContain('.lock')
  })

  test('a lock that a dead process left is taken over', async () => {
    const project = await tempDir('project')
    await mkdir(join(project, '.ggen'))
    await writeFile(join(project, '.ggen/.lock'), `${2 ** 22 + 1} - ${'0'.repeat(32)}\n`)
    await install(project, ['base'])
    expect(await readdir(join(project, '.ggen'))).not.toContain('.lock')
  })

  test('an interrupted install is ended by the next one, which takes its own work for nobody’s edits', async () => {
    const project = await tempDir('project')
    await install(project, ['base@=1.0.0'])
    const clone = await tempDir('clone')
    await install(clone, ['base@=1.1.0'])
    // What a crash leaves after the package was put in its place and before the lockfile was written.
    const cid = ((JSON.parse(await lockOf(clone)) as LockJson).packs['base'] ?? {})['cid']
    const { cp } = await import('node:fs/promises')
    await rm(join(project, '.ggen/packages/base'), { recursive: true })
    await cp(join(clone, '.ggen/packages/base'), join(project, '.ggen/packages/base'), { recursive: true })
    const journal = { format: 1, packs: [{ path: '.ggen/packages/base', cid }] }
    await writeFile(join(project, '.ggen/.journal.json'), JSON.stringify(journal))
    await mkdir(join(project, '.ggen/packages/.base.ggen-new'))
    expect(await install(project)).toMatchObject({ installed: [{ action: 'replaced', version: '1.0.0' }] })
    expect((await readdir(join(project, '.ggen'))).toSorted()).toEqual([
      '.state.json',
      'packages',
      'packs.lock',
      'project.toml'
    ])
    expect(await readdir(join(project, '.ggen/packages'))).toEqual(['base'])
  })
})
