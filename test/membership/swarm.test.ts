import { join } from 'node:path'
import { stat } from 'node:fs/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(stopRunningNodes)

/** A node with a private registry and a package in it. */
async function founder() {
  const node = await runningNode()
  const { registry } = await node.call('swarmCreate', { name: 'acme' })
  await node.call('publish', { folder: await packageFolder({ name: 'tool' }), registry: 'acme' })
  return { node, registry }
}

async function newcomer(from: TestRunningNode, { role }: { role?: string } = {}) {
  const { token } = await from.call('invite', { registry: 'acme', ...(role === undefined ? {} : { role }) })
  const node = await runningNode()
  const joined = await node.call('join', { token })
  return { node, joined, token }
}

describe('a private swarm', () => {
  test('lets somebody in with one token, who installs at once', async () => {
    const { node, registry } = await founder()
    const { node: other, joined } = await newcomer(node)
    expect(joined).toMatchObject({ registry, alias: 'acme', role: 'member', already: false, packages: 1 })
    expect(joined.certificate?.issuer).toBe(node.key)
    const project = await tempDir('project')
    const { installed } = await other.call('install', { references: ['acme:tool'], project })
    expect(installed[0]).toMatchObject({ name: 'acme:tool', action: 'added' })
    await stat(join(project, '.ggen/packages'))
    const { members } = await node.call('members', { registry: 'acme' })
    expect(members.map(({ key, roles }) => [key, roles])).toEqual(
      expect.arrayContaining([
        [node.key, ['owner']],
        [other.key, ['member']]
      ])
    )
  })
})
