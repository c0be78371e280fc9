import { cpSync } from 'node:fs'
import { cp, readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { verifyProject } from '../../node/installed.ts'
import type { InstallResult } from '../../node/services/install-result.ts'
import { packageFolder } from '../support/package-folder.ts'
import { lockOf } from '../support/project.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

const NAMES = ['one', 'two', 'three']

let node: TestRunningNode

beforeAll(async () => {
  node = await runningNode()
  await node.found('open')
  for (const name of NAMES)
    await node.call('publish', { folder: await packageFolder({ name, files: { 'a.txt': `${name}\n` } }) })
})
afterEach(() => vi.restoreAllMocks())
afterAll(stopRunningNodes)

const install = (project: string, references: readonly string[] = []): Promise<InstallResult> =>
  node.call('install', { project, references, sync: true })

const journalOf = async (project: string): Promise<{ phase?: string; boot?: string; packs?: readonly unknown[] }> => {
  const text = await readFile(join(project, '.ggen/.journal.json'), 'utf8').catch(() => '{}')
  return JSON.parse(text) as { phase?: string }
}

/** Installs, and keeps what a process that ended right before the receipt, or right behind it, would have left. */
async function crashed(): Promise<{ readonly project: string; readonly before: string; readonly behind: string }> {
  const [project, before, behind] = [await tempDir('project'), await tempDir('before'), await tempDir('behind')]
  const { signer } = node.parts.policy
  const sign = signer.signReceipt.bind(signer)
  vi.spyOn(signer, 'signReceipt').mockImplementation(receipt => {
    // A process that has ended holds no lock.
    cpSync(project, before, { recursive: true, filter: path => path !== join(project, '.ggen/.lock') })
    return sign(receipt)
  })
  await install(project, NAMES)
  vi.restoreAllMocks()
  await cp(before, behind, { recursive: true })
  await cp(join(project, '.ggen/receipts'), join(behind, '.ggen/receipts'), { recursive: true })
  return { project, before, behind }
}

describe('what an install placed is made durable after its receipt', () => {
  test('until then the journal says that it is being placed, and all else is written', async () => {
    const { project, before } = await crashed()
    expect(await journalOf(before)).toMatchObject({ phase: 'placing', packs: [{}, {}, {}] })
    expect(Object.keys((await lockOf(before)).packs).toSorted()).toEqual(NAMES.toSorted())
    const wishes = await readFile(join(before, '.ggen/project.toml'), 'utf8')
    for (const name of NAMES) expect(wishes).toContain(`${name} = "^1.0.0"\n`)
    expect(await readdir(join(before, '.ggen'))).toContain('.state.json')
    expect(await verifyProject(before, new AbortController().signal)).toMatchObject({ clean: true })
    // Nobody's work any more, once the disk has it.
    expect(await readdir(join(project, '.ggen'))).not.toContain('.journal.json')
  })

  test.each(['before', 'behind'] as const)('a process that ends right %s it leaves work for the next', async side => {
    const project = (await crashed())[side]
    const { upToDate, installed } = await install(project)
    expect(upToDate).toBe(false)
    expect(installed.map(({ action }) => action)).toEqual(['unchanged', 'unchanged', 'unchanged'])
    expect(await readdir(join(project, '.ggen'))).not.toContain('.journal.json')
    expect(await install(project)).toMatchObject({ upToDate: true })
  })

  test.each(['before', 'behind'] as const)('a power cut right %s it takes bytes that are put back', async side => {
    const project = (await crashed())[side]
    const journal = await journalOf(project)
    await writeFile(join(project, '.ggen/.journal.json'), JSON.stringify({ ...journal, boot: 'an earlier one' }))
    await truncate(join(project, '.ggen/packages/two/a.txt'))
    const { installed } = await install(project)
    const actions = installed.map(({ name, action }) => `${name} ${action}`)
    expect(actions.toSorted()).toEqual(['one unchanged', 'three unchanged', 'two replaced'])
    expect(await readFile(join(project, '.ggen/packages/two/a.txt'), 'utf8')).toBe('two\n')
    expect(await readdir(join(project, '.ggen'))).not.toContain('.journal.json')
  })

  test('and begins where the receipt could not be written, too', async () => {
    const project = await tempDir('project')
    const { signer } = node.parts.policy
    vi.spyOn(signer, 'signReceipt').mockImplementation(() => {
      throw new Error('no receipt')
    })
    await expect(install(project, NAMES)).rejects.toThrow('no receipt')
    expect(await install(project)).toMatchObject({ upToDate: true })
    expect(await readdir(join(project, '.ggen'))).not.toContain('.journal.json')
  })
})
