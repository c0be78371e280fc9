import { existsSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { installPackage, type InstalledPackage } from '../support/installed-package.ts'
import { run, type RunResult } from '../support/run.ts'
import { REPOSITORY } from '../support/shared.ts'

let place: InstalledPackage
let manual: string

beforeAll(async () => {
  manual = await readFile(join(REPOSITORY, 'docs', 'embedding.md'), 'utf8')
  place = await installPackage()
})

/** The code blocks of the manual in one language. */
function blocks(language: string): readonly string[] {
  return [...manual.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, tag]) => tag === language)
    .map(([, , text = '']) => text)
}

async function runScript(name: string, text: string, env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  await writeFile(join(place.project, name), text)
  return run('node', [name], { cwd: place.project, env: { ...place.env, ...env } })
}

describe('a program that embeds the installed package', () => {
  test('runs the example of the manual as it is printed there', async () => {
    const [example] = blocks('js')
    const [output] = blocks('text')
    expect(example).toContain("from 'ggen-node'")
    // What it makes in the temporary folder goes with the project.
    const result = await runScript('example.mjs', example ?? '', { TMPDIR: place.project })
    expect(result).toEqual({ code: 0, stdout: output, stderr: '' })
  })

  test('is left alone: no listeners, no output, no environment, no handles', async () => {
    const elsewhere = join(place.project, 'elsewhere')
    const env = {
      GGEN_NODE_HOME: elsewhere,
      GGEN_NODE_KEEP: 'all',
      GGEN_NODE_LOG: 'debug',
      GGEN_NODE_LISTEN: '/ip4/127.0.0.1/tcp/0',
      GGEN_NODE_BOOTSTRAP: 'nonsense',
      DEBUG: '*'
    }
    const { code, stdout, stderr } = await runScript('alone.mjs', ALONE, env)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const seen = JSON.parse(stdout) as { listeners: unknown; msToExit: number }
    expect(seen).toMatchObject({ keep: 'none', addresses: [], handles: [], newListeners: [], defaultHome: elsewhere })
    // Libraries like to leave timers; those of a second are among the handles that there are none of.
    expect(seen.msToExit).toBeLessThan(10_000)
    expect(existsSync(elsewhere)).toBe(false)
  })

  test('gets one error class, also by require', async () => {
    const script = `
      const { RegistryError, ERROR_CODES, createNode } = require('ggen-node')
      createNode({ home: '' }).catch(error => {
        console.log(error instanceof RegistryError, error.code, ERROR_CODES[error.code].exit)
        return import('ggen-node').then(again => console.log(again.RegistryError === RegistryError))
      })`
    expect(await runScript('errors.cjs', script)).toEqual({ code: 0, stdout: 'true USAGE 2\ntrue\n', stderr: '' })
  })

  test('reaches nothing but the library', async () => {
    const script = "import('ggen-node/chunks/index.js').catch(error => console.log(error.code))"
    expect(await runScript('deep.mjs', script)).toMatchObject({ stdout: 'ERR_PACKAGE_PATH_NOT_EXPORTED\n' })
  })
})

const ALONE = `
import { mkdtemp } from 'node:fs/promises'
const count = () => process.eventNames().map(name => [String(name), process.listenerCount(name)])
const before = count()
const { createNode, defaultHome } = await import('ggen-node')
const folder = await mkdtemp('alone-')
const nodes = []
for (const name of ['a', 'b', 'c']) nodes.push(await createNode({ home: folder + '/' + name }))
const [a, b] = nodes
const listening = await createNode({ home: folder + '/d', config: { listen: ['/ip4/127.0.0.1/tcp/0'] } })
await a.connect(listening.addresses[0])
const { keep, addresses } = await a.status()
const newListeners = count().filter(([name, n]) => !before.some(([other, m]) => other === name && m === n))
await Promise.all([...nodes, listening].map(node => node.stop()))
const handles = process.getActiveResourcesInfo().filter(name => /Timeout|TCP|Immediate|UDP|Signal|MessagePort|Worker/.test(name))
const stopped = performance.now()
process.on('exit', () => {
  const msToExit = performance.now() - stopped
  process.stdout.write(JSON.stringify({ keep, addresses, newListeners, handles, msToExit, defaultHome: defaultHome() }))
})
`

describe('the types of the installed package', () => {
  const strict = {
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true
  }
  const typeRoots = [join(REPOSITORY, 'node_modules', '@types')]

  async function compile(
    options: Record<string, unknown>,
    files: Readonly<Record<string, string>>
  ): Promise<RunResult> {
    const names = Object.keys(files)
    for (const [name, text] of Object.entries(files)) await writeFile(join(place.project, name), text)
    const config = { compilerOptions: { ...strict, ...options }, files: names }
    await writeFile(join(place.project, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc')
    return run('node', [tsc, '--project', 'tsconfig.json'], { cwd: place.project, env: place.env })
  }
  const fine = { code: 0, stdout: '', stderr: '' }

  test('compile the block of the manual', async () => {
    const [block = ''] = blocks('ts')
    expect(block).toContain("from 'ggen-node'")
    expect(await compile({ module: 'nodenext', target: 'es2022', types: [] }, { 'block.mts': block })).toEqual(fine)
  })

  test.each([
    ['without types of Node.js', { module: 'nodenext', target: 'es2022', types: [] }],
    [
      'without those of browsers',
      { module: 'nodenext', target: 'es2022', lib: ['es2022'], types: ['node'], typeRoots }
    ],
    ['for a bundler', { module: 'esnext', moduleResolution: 'bundler', target: 'esnext', types: [] }]
  ])('compile %s, every declaration checked', async (_, options) => {
    expect(await compile(options, { 'consumer.mts': CONSUMER })).toEqual(fine)
  })

  test('say what is wrong', async () => {
    const text = "import { createNode } from 'ggen-node'\nvoid createNode({ home: 1 })\n"
    const { code, stdout } = await compile({ module: 'nodenext', types: [] }, { 'wrong.mts': text })
    expect(code).not.toBe(0)
    expect(stdout).toContain('wrong.mts(2,')
  })

  test('import nothing', async () => {
    const text = await readFile(join(place.built, 'chunks', 'index.d.ts'), 'utf8')
    expect(text).not.toMatch(/\bimport\b|\bfrom '|libp2p|helia/i)
    expect(text).toMatch(/^\/\/\/ <reference lib="esnext.disposable" \/>\n/)
  })
})

/** Each expected error would be an error if the types had become `any` on their way. */
const CONSUMER = `
import { createNode, defaultHome, ERROR_CODES, isRegistryError, RegistryError } from 'ggen-node'
import type { ContentId, EmbeddedNode, ErrorCode, Manifest, NodeStatus, PackageSummary, RegistryId } from 'ggen-node'

export async function main(signal: AbortSignal): Promise<ContentId | undefined> {
  await using node: EmbeddedNode = await createNode({
    home: defaultHome(),
    config: { listen: [], keep: 'all', bootstrap: [], mdns: false },
    log: { level: 'info', write: line => void line.length }
  })
  const { id }: { id: RegistryId } = await node.registries.create('acme', { alias: 'a', signal })
  const end: () => void = node.onChange(() => undefined)
  end()
  const status: NodeStatus = await node.status({ signal })
  const found: readonly PackageSummary[] = await node.search('web', { registry: id, limit: 3 })
  const manifest: Manifest | null = (await node.show(found[0]?.name ?? 'web')).manifest
  const findings = await node.call('doctor', { deep: manifest === null && status.readOnly })
  const { installed } = await node.install('web@^1', {
    project: '.',
    onProgress: ({ text, done = 0, of = 0 }) => void (text.length + done + of + findings.length)
  })
  // @ts-expect-error: a folder is a text
  await node.publish(1)
  // @ts-expect-error: an install needs a project
  await node.install('web', {})
  // @ts-expect-error: no such call
  await node.call('reboot', {})
  // @ts-expect-error: stopping is a method, not a call
  await node.call('stop', {})
  // @ts-expect-error: results are checked too
  const wrong: number = await node.publish('.')
  // @ts-expect-error: parts of the node are no business of programs
  void [node.parts, wrong]
  return installed[0]?.cid
}

export function exitOf(error: unknown): number {
  if (!isRegistryError(error)) throw new RegistryError('INTERNAL', 'unknown', { cause: error })
  const code: ErrorCode = error.code
  // @ts-expect-error: the list is closed
  void (code === 'NO_SUCH_CODE')
  return ERROR_CODES[code].exit
}
`

test('the package stays small', async () => {
  const folder = join(place.project, 'packed')
  await mkdir(folder)
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder, place.built]
  const { stdout } = await run('npm', pack, { cwd: place.project, env: place.env })
  const { size } = await stat(join(folder, stdout.trim()))
  expect(size).toBeGreaterThan(100_000)
  expect(size).toBeLessThan(2_500_000)
})
