import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { packageFolder } from '../support/package-folder.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

const FILES = { 'docs/large.bin': Buffer.alloc(3 * 1024 * 1024, 'large '), 'docs/small.md': 'small' }

afterEach(stopRunningNodes)

/** A node with a gateway that has a package, and is of no use as a peer any more. */
async function publisher(): Promise<{ readonly node: TestRunningNode; readonly url: string }> {
  const node = await runningNode({ config: { http: { gateway: '127.0.0.1:0', metrics: '' } } })
  await node.found('curated')
  await node.call('publish', { folder: await packageFolder({ name: 'alpha', files: FILES }) })
  return { node, url: `http://${node.parts.gateway.listening[0]?.address ?? ''}` }
}

const hostGone = async (node: TestRunningNode): Promise<void> => await node.parts.swarms.take('public')?.stop()

test('what no peer sends is installed from a gateway that the configuration names', { timeout: 60_000 }, async () => {
  const { node, url } = await publisher()
  const reader = await runningNode({ config: { gateways: [url] } })
  await follow(reader, node.parts.registries.ids[0] ?? ('' as never), node)
  await hostGone(node)
  const project = await tempDir('project')
  await reader.call('install', { references: ['alpha'], project, singleSource: true })
  expect(await readFile(join(project, '.ggen', 'packages', 'alpha', 'docs', 'large.bin'))).toEqual(
    FILES['docs/large.bin']
  )
  expect(reader.parts.gateways.received()[0]?.[1]).toBeGreaterThan(3 * 1024 * 1024)
})

test('when nobody has it, the message says what peers and gateways said', async () => {
  const { node } = await publisher()
  const empty = createServer((_, response) => response.writeHead(404).end())
  await new Promise<void>(resolve => empty.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(empty.address() as AddressInfo).port}`
  try {
    const reader = await runningNode({ config: { gateways: [url] } })
    await follow(reader, node.parts.registries.ids[0] ?? ('' as never), node)
    await hostGone(node)
    const project = await tempDir('project')
    const failed = reader.call('install', { references: ['alpha'], project, singleSource: true })
    await expect(failed).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(`no peer sent .*${url} said 404`) as string
    })
  } finally {
    empty.close()
    empty.closeAllConnections()
  }
})

test('nothing of a private registry is asked of a gateway', async () => {
  const asked: string[] = []
  const spy = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(404).end()
  })
  await new Promise<void>(resolve => spy.listen(0, '127.0.0.1', resolve))
  const gateways = [`http://127.0.0.1:${(spy.address() as AddressInfo).port}`]
  try {
    const owner = await runningNode({ config: { gateways } })
    const { registry } = await owner.call('swarmCreate', { name: 'acme' })
    const { cid } = await owner.call('publish', { folder: await packageFolder({ name: 'secret' }), registry })
    // Its bytes are lost, so that they have to be fetched from somewhere.
    const space = owner.parts.spaces.of(registry)
    for await (const { cid: block } of space.allBlocks.getAll()) await space.allBlocks.delete(block)
    await space.forgetKept(cid)
    const project = await tempDir('project')
    const failed = owner.call('install', { references: ['acme:secret'], project, singleSource: true })
    await expect(failed).rejects.toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    expect(asked).toEqual([])
  } finally {
    spy.close()
    spy.closeAllConnections()
  }
})
