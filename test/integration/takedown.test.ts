import { afterEach, expect, test } from 'vitest'
import { errorOf } from '../support/daemon.ts'
import { containing } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(stopRunningNodes)

const install = async (node: TestRunningNode, reference: string) =>
  node.call('install', { references: [reference], project: await tempDir('project') })
const takedown = (node: TestRunningNode, reference: string, more: { release?: boolean; isDeleted?: boolean } = {}) =>
  node.call('takedown', { reference, reason: 'a court\u202e says so', release: false, isDeleted: false, ...more })

async function publisher() {
  const node = await runningNode()
  const { id: registry } = await node.call('registryCreate', { name: 'main' })
  const shared = 'the same words\n'.repeat(10)
  for (const name of ['novel', 'story']) {
    const folder = await packageFolder({ name, files: { 'shared.txt': shared, 'own.txt': `of ${name}\n` } })
    await node.call('publish', { folder })
  }
  return { node, registry }
}

test('what an operator took down is installed from his node by nobody, himself included, until he takes it back', async () => {
  const { node, registry } = await publisher()
  const [before] = await node.call('registryList', {})
  expect(await takedown(node, 'novel@1.0.0')).toMatchObject([{ released: false, deleted: 0, shared: 1 }])
  expect(await errorOf(install(node, 'novel'))).toMatchObject({
    code: 'TAKEN_DOWN',
    tried: ['the operator says: a court says so'],
    next: containing('takedown undo')
  })
  expect(await node.call('takedownList', {})).toMatchObject([{ reference: 'novel@1.0.0', reason: 'a court says so' }])

  const reader = await runningNode()
  await join(reader, registry, node)
  await expect.poll(async () => (await reader.call('search', { query: '', limit: 5 })).length).toBe(2)
  expect((await install(reader, 'story')).installed).toMatchObject([{ name: 'story' }])
  const project = await tempDir('project')
  const waits = reader.api.install(
    { references: ['novel'], project },
    { signal: AbortSignal.timeout(3_000), onProgress: () => {} }
  )
  await expect(waits).rejects.toThrow()
  const [after] = await node.call('registryList', {})
  expect(after).toMatchObject({ facts: before?.facts, digest: before?.digest })

  expect(await takedown(node, 'novel@1.0.0', { release: true })).toMatchObject([{ released: true }])
  expect(await node.call('takedownList', {})).toEqual([])
  expect((await install(reader, 'novel')).installed).toMatchObject([{ name: 'novel' }])
  expect((await install(node, 'novel')).installed).toMatchObject([{ name: 'novel' }])
})

test('a takedown holds after a restart, and with --delete the bytes are gone from the disk', async () => {
  const { node } = await publisher()
  const [taken] = await takedown(node, 'novel@1.0.0', { isDeleted: true })
  expect(taken?.deleted).toBe(taken?.withheld)
  await node.stop()
  const again = await runningNode({ home: node.home })
  expect(await errorOf(install(again, 'novel'))).toMatchObject({ code: 'TAKEN_DOWN' })
  expect((await install(again, 'story')).installed).toMatchObject([{ name: 'story' }])
})

test('a takedown of nothing, or of no version, is refused with what to do', async () => {
  const { node } = await publisher()
  expect(await errorOf(takedown(node, 'novel'))).toMatchObject({ code: 'INVALID_REFERENCE' })
  expect(await errorOf(takedown(node, 'novel@9.0.0'))).toMatchObject({ code: 'UNKNOWN_VERSION' })
  expect(await errorOf(takedown(node, 'novel@1.0.0', { release: true }))).toMatchObject({
    next: 'ggen-node takedown list shows what was'
  })
})
