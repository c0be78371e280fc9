import { afterEach, describe, expect, test } from 'vitest'
import { sourceLines, sourceNote } from '../../bin/commands/source-note.ts'
import { containing } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(stopRunningNodes)

/** A node with a registry and a package in it. */
async function publisher() {
  const node = await runningNode()
  const { id } = await node.call('registryCreate', { name: 'main' })
  await node.call('publish', { folder: await packageFolder({ name: 'novel' }) })
  return { node, registry: id }
}

const statusOf = async (node: TestRunningNode) => (await node.call('registryList', {}))[0]
const install = async (node: TestRunningNode, more: { singleSource?: boolean } = {}) => {
  const { warnings } = await node.call('install', { references: ['novel'], project: await tempDir('project'), ...more })
  return warnings.map(({ code, text }) => `${code}: ${text}`)
}
const WARNING = containing('single-source: main was seen from one peer')

describe('a registry that one peer has shown', () => {
  test('is so in its status and in what an install says, until a second peer shows it', async () => {
    const { node, registry } = await publisher()
    const reader = await runningNode()
    await join(reader, registry, node)
    await expect.poll(() => statusOf(reader)).toMatchObject({ sources: 1, singleSource: false })
    expect(await install(reader)).toEqual([WARNING])

    const mirror = await runningNode()
    await join(mirror, registry, node)
    await reader.call('connect', { address: mirror.address })
    await expect.poll(() => statusOf(reader)).toMatchObject({ sources: 2 })
    expect(await install(reader)).toEqual([])
  })

  test('is accepted for one install, or for good', async () => {
    const { node, registry } = await publisher()
    const reader = await runningNode()
    await join(reader, registry, node)
    await expect.poll(() => statusOf(reader)).toMatchObject({ sources: 1 })
    expect(await install(reader, { singleSource: true })).toEqual([])
    expect(await install(reader)).toEqual([WARNING])
    await reader.call('registryAdd', { id: registry, isDefault: false, singleSource: true })
    expect(await install(reader)).toEqual([])
    expect(await statusOf(reader)).toMatchObject({ sources: 1, singleSource: true, alias: 'main' })
  })

  test('is so after a restart too', async () => {
    const { node, registry } = await publisher()
    const reader = await runningNode()
    await join(reader, registry, node)
    await expect.poll(() => statusOf(reader)).toMatchObject({ sources: 1 })
    await reader.stop()
    expect(await statusOf(await runningNode({ home: reader.home }))).toMatchObject({ sources: 1, singleSource: false })
  })
})

test('a registry that was made here needs nobody to confirm it', async () => {
  const { node, registry } = await publisher()
  const reader = await runningNode()
  await join(reader, registry, node)
  await expect.poll(() => statusOf(node)).toMatchObject({ sources: 1, singleSource: true })
  expect(await install(node)).toEqual([])
})

test('people are told in words', () => {
  const shown = { facts: 3, sources: 1, singleSource: false }
  expect(sourceNote(shown)).toContain('seen from one peer')
  expect(sourceNote({ ...shown, sources: 0 })).toContain('not compared with any peer')
  expect(sourceNote({ ...shown, sources: 2 })).toBeUndefined()
  expect(sourceNote({ ...shown, singleSource: true })).toBeUndefined()
  expect(sourceNote({ ...shown, facts: 0, sources: 0 })).toBeUndefined()
  expect(sourceLines([])).toEqual([])
  const view = { ...shown, alias: 'acme', staleness: { hours: 80, maxHours: 24, stale: true } }
  const [stale, note] = sourceLines([view])
  expect(stale).toMatch(/Stale acme {2}compared with nobody for 3 days, of at most 24 hours: what was withdrawn/)
  expect(note).toContain('Note acme  seen from one peer')
  const never = { ...view, sources: 0, staleness: { hours: null, maxHours: 24, stale: true } }
  expect(sourceLines([never])).toEqual([containing('Stale acme  not compared with any peer yet')])
  expect(sourceLines([{ ...never, singleSource: true }])).toEqual([
    containing('Stale acme  never compared with anybody')
  ])
  expect(sourceLines([{ ...never, facts: 0 }])).toEqual([])
})
