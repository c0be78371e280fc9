import { readdir, readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { installPackage, type InstalledPackage } from '../support/installed-package.ts'
import { findOldNode } from '../support/old-node.ts'
import { run, type RunResult } from '../support/run.ts'
import { REPOSITORY } from '../support/shared.ts'

const oldNode = findOldNode()

let place: InstalledPackage

beforeAll(async () => {
  place = await installPackage()
})

const ggenNode = (...args: readonly string[]): Promise<RunResult> =>
  run('npx', ['--no-install', 'ggen-node', ...args], { cwd: place.project, env: place.env })

describe('the published package', () => {
  test('runs after an offline install without scripts', async () => {
    const { version } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string }
    const result = await ggenNode('version', '--json')
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(result.stdout)).toMatchObject({ version })
  })

  test('prints its help', async () => {
    const result = await ggenNode('--help')
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toContain('Usage: ggen-node')
  })

  test('runs the demo: three nodes of its own, each a process', async () => {
    const result = await ggenNode('demo', '--json')
    expect(result).toMatchObject({ code: 0, stderr: '' })
    const said = JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>
    expect(said).toMatchObject({ ok: true, nodes: 3, published: 11 })
  })

  test('loads its native store', async () => {
    const script =
      "import('classic-level').then(async m => { const db = new m.ClassicLevel('db'); await db.open(); await db.close() })"
    expect(await run('node', ['-e', script], { cwd: place.project, env: place.env })).toMatchObject({
      code: 0,
      stderr: ''
    })
  })

  test('makes documents in its worker, with the WebAssembly beside it', async () => {
    const home = ['--home', join(place.project, 'words')]
    const folder = join(place.project, 'node_modules', 'ggen-node', 'examples', 'core-vocabulary')
    for (const command of [['init'], ['publish', folder], ['edit', 'core-vocabulary', '--title', 'The core']])
      expect(await ggenNode(...home, ...command)).toMatchObject({ code: 0, stderr: '' })
    const { stdout } = await ggenNode(...home, 'show', 'core-vocabulary', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      document: { title: 'The core', keywords: ['ontology', 'rdf', 'shared'], edits: 2 }
    })
  })

  test('reads archives in a process of its own, which finds its code', async () => {
    const home = ['--home', join(place.project, 'words')]
    const examples = join(place.project, 'node_modules', 'ggen-node', 'examples')
    const file = join(place.project, 'words.tar.gz')
    expect(
      await run('tar', ['-czf', file, '-C', examples, 'core-vocabulary'], { cwd: place.project, env: place.env })
    ).toMatchObject({ code: 0 })
    const { stdout } = await ggenNode(...home, 'verify', file, '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'ggen/core-vocabulary',
      releases: [{ name: 'ggen/core-vocabulary' }]
    })
  })

  test('holds Automerge in its worker and nowhere else', async () => {
    const chunks = join(place.built, 'chunks')
    const holding: string[] = []
    for (const name of await readdir(chunks)) {
      const text = name.endsWith('.js') ? await readFile(join(chunks, name), 'utf8') : ''
      if (text.includes('automerge_wasm_bg.wasm')) holding.push(name)
      // Started as a thread is fine, imported is not.
      expect(text).not.toMatch(/(from|import)\s*\(?["'`]\.\/document-worker/)
    }
    expect(holding).toEqual(['document-worker.js'])
  })

  test('depends on nothing but the native store', async () => {
    const manifest = JSON.parse(await readFile(join(place.built, 'package.json'), 'utf8')) as Record<string, unknown>
    expect(manifest['dependencies']).toEqual({ 'classic-level': '3.0.0' })
    expect(manifest).not.toHaveProperty('overrides')
    expect(manifest).not.toHaveProperty('private')
  })

  test('carries examples, licences and no sources', async () => {
    const installed = join(place.project, 'node_modules', 'ggen-node')
    const files = await readdir(installed, { recursive: true })
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES', 'ggen-node.js']))
    expect(existsSync(join(REPOSITORY, 'examples'))).toBe(files.some(name => name.startsWith('examples')))
    const types = files.filter(name => name.endsWith('.ts') && !name.startsWith('examples'))
    expect(types).toEqual([join('chunks', 'index.d.ts')])
    const licences = await readFile(join(installed, 'THIRD-PARTY-LICENSES'), 'utf8')
    expect(licences).toMatch(/^commander@\d/m)
    expect(licences).toMatch(/^@automerge\/automerge@\d/m)
    expect(licences).not.toContain('(unknown)')
  })

  test.skipIf(oldNode === undefined)('tells a too old Node.js so in one line', async () => {
    const result = await run(oldNode ?? '', [join(place.built, 'ggen-node.js'), '--help'], {
      cwd: place.project,
      env: place.env
    })
    expectRefusal(result)
  })
})

test.skipIf(oldNode === undefined)('the sources tell a too old Node.js so in one line', async () => {
  const entry = join(REPOSITORY, 'bin', 'ggen-node.ts')
  expectRefusal(await run(oldNode ?? '', [entry, 'demo', '--json'], { cwd: place.project, env: place.env }))
})

function expectRefusal({ code, stdout, stderr }: RunResult): void {
  expect(stdout).toBe('')
  expect(stderr).toMatch(
    /^ggen-node: UNSUPPORTED_NODE: needs Node\.js 24\.15 or newer and this is \d+\.\d+\.\d+; [^\n]+\n$/
  )
  expect(code).toBe(64)
}
