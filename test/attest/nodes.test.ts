import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recoveryKey } from '../../node/home.ts'
import type { ShownAttestation } from '../../node/services/attest/methods.ts'
import { parseContentId, parseRegistryId, toLink } from '../../protocol/cid.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const saidOf = async (node: TestRunningNode): Promise<readonly ShownAttestation[]> =>
  (await node.call('attestations', { reference: 'main:alpha' })).attestations

/** Waits until a node has heard as many facts as another one. */
async function caughtUp(node: TestRunningNode, with_: TestRunningNode, registry: string): Promise<void> {
  const one = (await with_.call('registryList', {})).find(({ id }) => id === registry)
  await node.call('waitFor', { registry, facts: one?.facts ?? 0, peers: 1, kept: false, timeoutMs: HEARD_MS })
}

let ann: TestRunningNode
let bob: TestRunningNode
let mirror: TestRunningNode
let files: string

beforeAll(async () => {
  ;[ann, bob, mirror] = await Promise.all([runningNode(), runningNode(), runningNode({ config: { keep: 'all' } })])
  files = await tempDir('predicates')
})
afterAll(stopRunningNodes)

/** A private registry of a node's own key, without its swarm. */
async function foundPrivate({ parts }: TestRunningNode, alias: string): Promise<string> {
  const { id, bytes } = parts.author.genesis({
    name: alias,
    roots: [parts.author.principal],
    threshold: 1,
    recovery: await recoveryKey(parts.home),
    admission: 'curated',
    visibility: 'private',
    nonce: new Uint8Array(randomBytes(16))
  })
  const registry = parseRegistryId(id)
  await parts.follow(registry)
  await parts.gate.admit(bytes, { peer: 'self' })
  await parts.spaces.add(alias)
  await parts.registries.add(id, { alias, isDefault: false, swarm: alias, made: true })
  return registry
}

describe('nodes', () => {
  // A statement holds the name and the digests of what it is about.
  test('of a private release nothing is said where others read', async () => {
    const secret = await foundPrivate(bob, 'secret')
    await bob.call('registryCreate', { name: 'open' })
    await bob.call('publish', { folder: await packageFolder({ name: 'gamma' }), registry: 'secret' })
    const order = { reference: 'secret:gamma', type: 'star', registry: 'open' }
    expect(await refusal(bob.call('attest', order))).toMatchObject({ code: 'USAGE' })
    const audited = { reference: 'secret:gamma', criteria: ['safe-to-run'], failed: false }
    expect(await refusal(bob.call('audit', { ...audited, registry: 'open' }))).toMatchObject({ code: 'USAGE' })
    // Where nobody says where, it is said in its own.
    expect(await bob.call('audit', audited)).toMatchObject({ registry: secret })
    expect(await bob.call('attest', { reference: 'secret:gamma', type: 'star' })).toMatchObject({ registry: secret })
    const large = join(files, 'private.json')
    await writeFile(large, JSON.stringify({ score: 4, text: 'ours\n'.repeat(20_000) }))
    const { content } = await bob.call('attest', { reference: 'secret:gamma', type: 'review', predicate: large })
    const link = toLink(parseContentId(content ?? ''))
    const spaces = ['secret', 'public'].map(name => bob.parts.spaces.named(name).blocks.has(link))
    expect(await Promise.all(spaces)).toEqual([true, false])
  })

  test('what one says of a release, the others hear, with a predicate that is content', async () => {
    const registry = await ann.found('curated')
    await ann.call('publish', { folder: await packageFolder({ name: 'alpha' }) })
    const [small, large] = [join(files, 'small.json'), join(files, 'large.json')]
    await writeFile(small, JSON.stringify({ criteria: ['safe-to-run'], result: 'pass', kind: 'full' }))
    const found = Array.from({ length: 2_000 }, (_, i) => ({
      id: `CVE-${i}`,
      severity: [{ method: 'x', score: 'low' }]
    }))
    await writeFile(large, JSON.stringify({ scanner: { uri: 'pkg:x/y', result: found } }))
    await ann.call('attest', { reference: 'alpha@1.0.0', type: 'audit', predicate: small })

    // The first reading of everything.
    for (const node of [bob, mirror]) await follow(node, registry, ann)
    await Promise.all([bob, mirror].map(node => caughtUp(node, ann, registry)))
    expect(await saidOf(bob)).toMatchObject([{ type: 'audit', issuer: ann.key, counts: true, alias: 'main' }])

    // Then what is told while they are connected. The predicate comes over the stream of content, when somebody reads it.
    const said = await ann.call('attest', { reference: 'alpha@1.0.0', type: 'vulnerabilities', predicate: large })
    expect(said.content).not.toBeNull()
    await caughtUp(bob, ann, registry)
    const scan = (await saidOf(bob)).find(({ type }) => type === 'vulnerabilities')
    expect(scan).toMatchObject({ counts: true, marks: [], summary: { count: 2_000 }, content: { cid: said.content } })
    expect(await saidOf(bob)).toEqual(await saidOf(ann))
    expect(await bob.call('verifyRelease', { reference: 'main:alpha' })).toMatchObject({ facts: 3, signatures: 5 })
    const digests = await Promise.all(
      [ann, bob].map(async node => (await node.call('registryList', {})).find(({ id }) => id === registry)?.digest)
    )
    expect(digests[0]).toBe(digests[1])

    // A mirror has it before anybody asks.
    await caughtUp(mirror, ann, registry)
    await mirror.call('waitFor', { registry, facts: 1, peers: 1, kept: true, timeoutMs: HEARD_MS })
    await Promise.all([ann, bob].map(node => node.stop()))
    expect((await saidOf(mirror)).map(({ marks }) => marks)).toEqual([[], []])
  })
})
