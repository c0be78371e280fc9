import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { readdir, stat } from 'node:fs/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { fetchInto } from '../../node/content.ts'
import { listKeys } from '../../node/key-ring.ts'
import { toHex } from '../../protocol/bytes.ts'
import { parseContentId, parseRegistryId, toLink } from '../../protocol/cid.ts'
import { formatToken, parseToken } from '../../protocol/membership/token.ts'
import { SwarmRecords } from '../../storage/swarm-records.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(async () => {
  vi.restoreAllMocks()
  await stopRunningNodes()
})

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
    expect(installed[0]).toMatchObject({ name: 'tool', action: 'added' })
    await stat(join(project, '.ggen/packages'))
    const { members } = await node.call('members', { registry: 'acme' })
    expect(members.map(({ key, roles }) => [key, roles])).toEqual(
      expect.arrayContaining([
        [node.key, ['owner']],
        [other.key, ['member']]
      ])
    )
  })

  test('lets in whose host calls a member before it has said that it holds an invite', async () => {
    const { node, registry } = await founder()
    const { members } = node.parts.privates.of(parseRegistryId(registry))
    const { token } = await node.call('invite', { registry: 'acme' })
    const other = await runningNode()
    // A host dials those in its token as soon as it starts. The disk that its port is written to takes until it has said
    // who it is, and the member looks at that until the newcomer knocks: what happens to machines that have much to do.
    const said = Promise.withResolvers<void>()
    const knocked = Promise.withResolvers<void>()
    const judge = members.judge.bind(members)
    vi.spyOn(members, 'judge').mockImplementation(async (...shown) => {
      said.resolve()
      await knocked.promise
      return judge(...shown)
    })
    vi.spyOn(SwarmRecords.prototype, 'putListen').mockImplementation(async () => {
      const host = other.parts.swarms.named('acme')
      if (host === undefined) return
      const connect = host.connect.bind(host)
      vi.spyOn(host, 'connect').mockImplementation(async (...to) => {
        const connected = connect(...to)
        await setImmediate()
        knocked.resolve()
        return connected
      })
      await said.promise
    })
    await expect(other.call('join', { token })).resolves.toMatchObject({ registry, role: 'member' })
  })

  test('looks at its members once, however many facts came in at a time', async () => {
    const { node, registry } = await founder()
    const { members } = node.parts.privates.of(parseRegistryId(registry))
    let looks = 0
    members.onChange(() => void (looks += 1))
    for (let facts = 0; facts < 1_000; facts++) node.parts.privates.noticed(parseRegistryId(registry))
    // Looking touches no disk: whatever was queued has been done some turns later.
    for (let turns = 0; turns < 100; turns++) await setImmediate()
    expect(looks).toBeGreaterThan(0)
    expect(looks).toBeLessThan(10)
  })

  test('knows its members after a restart, and they find each other at the same place', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    await node.stop()
    const again = await runningNode({ home: node.home })
    await expect
      .poll(async () => (await again.call('swarmList', {}))[0])
      .toMatchObject({ name: 'acme', running: true, peers: 1, warnings: [] })
    // Its own side of the introduction ends a moment later.
    await expect.poll(async () => (await other.call('swarmList', {}))[0]).toMatchObject({ peers: 1, epoch: 0 })
  })

  test('cuts who is expelled, and lets him in no more', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    const { node: third } = await newcomer(node)
    const result = await node.call('expel', { registry: 'acme', member: other.key, compromised: false, rotate: false })
    expect(result).toMatchObject({ member: other.key, missing: 0, cut: 1, rotated: false })
    const peersOf = async (each: TestRunningNode) => (await each.call('swarmList', {}))[0]?.peers
    await expect.poll(() => peersOf(other)).toBe(0)
    const { addresses = [] } = (await node.call('swarmList', {}))[0] ?? {}
    const host = other.parts.swarms.require('acme')
    await expect(host.connect(addresses[0] ?? '')).rejects.toThrow()
    await expect.poll(() => peersOf(third)).toBe(1)
    // What comes after it stays with the members.
    await node.call('publish', { folder: await packageFolder({ name: 'secret-plan' }), registry: 'acme' })
    const held = await other.call('search', { query: 'secret-plan', registry: 'acme', limit: 5 })
    expect(held).toEqual([])
    const { members, invites } = await node.call('members', { registry: 'acme' })
    expect(members.map(({ key }) => key)).not.toContain(other.key)
    expect(invites.every(({ state }) => state === 'used-up' || state === 'ended')).toBe(true)
  })

  test('goes over to a new secret, and whoever was away follows while the old one is good', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    const { node: away } = await newcomer(node)
    await away.stop()
    const { epoch } = await node.call('swarmRotate', { registry: 'acme' })
    expect(epoch).toBe(1)
    const back = await runningNode({ home: away.home })
    for (const each of [node, other, back]) {
      await expect.poll(async () => (await each.call('swarmList', {}))[0]).toMatchObject({ epoch: 1, running: true })
    }
    await node.call('publish', { folder: await packageFolder({ name: 'later' }), registry: 'acme' })
    for (const each of [other, back]) {
      const found = () => each.call('search', { query: 'later', registry: 'acme', limit: 5 })
      await expect.poll(found).toHaveLength(1)
    }
  })

  test('ends with one secret where two owners have made one each at the same time', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    await node.call('roleGrant', { registry: 'acme', to: other.key, role: 'owner' })
    const isOwner = async () => (await other.call('members', { registry: 'acme' })).members.map(({ roles }) => roles[0])
    await expect.poll(isOwner).toEqual(['owner', 'owner'])
    const rotated = await Promise.all([node, other].map(each => each.call('swarmRotate', { registry: 'acme' })))
    expect(rotated.map(({ epoch }) => epoch)).toEqual([1, 1])
    const secrets = (): readonly string[] =>
      [node, other].map(({ parts }) => toHex(parts.privates.all[0]?.members.keys.current.secret ?? new Uint8Array()))
    const [first, second] = secrets()
    expect(first).not.toBe(second)
    await expect.poll(() => new Set(secrets()).size).toBe(1)
    const peers = async () => (await other.call('swarmList', {}))[0]
    await expect.poll(peers).toMatchObject({ epoch: 1, running: true, peers: 1 })
  })

  test('is not lost to a forged token, and found again by a genuine one', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    const keptBy = async (each: TestRunningNode) => {
      const { secrets, vouched } = (await each.parts.privates.recordOf('acme')) ?? { vouched: [] }
      return { secrets, vouched }
    }
    const before = await keptBy(other)
    const genuine = async () => parseToken((await node.call('invite', { registry: 'acme' })).token)
    const forged = { ...(await genuine()), secret: new Uint8Array(32).fill(66), epoch: 9 }
    // With the address of a member, who answers under the secret that it has.
    expect(await other.call('join', { token: formatToken(forged) })).toMatchObject({ already: true })
    expect([await keptBy(other), other.parts.privates.all[0]?.members.keys.proposed]).toEqual([before, undefined])
    // With another one, and nobody there.
    await node.stop()
    const elsewhere = forged.addresses.map(address => address.replace(/tcp\/\d+/, 'tcp/1'))
    await expect.poll(async () => (await other.call('swarmList', {}))[0]?.peers).toBe(0)
    const lost = formatToken({ ...forged, addresses: elsewhere })
    await expect(other.call('join', { token: lost })).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect([await keptBy(other), other.parts.privates.all[0]?.members.keys.proposed]).toEqual([before, undefined])
    // A secret that came while nobody could tell it, and the one before is good no longer.
    await other.stop()
    const again = await runningNode({ home: node.home })
    await again.call('swarmRotate', { registry: 'acme', overlap: '0' })
    // Its host comes back under the new names.
    const addresses = async () => (await again.call('swarmList', {}))[0]?.addresses
    await expect.poll(addresses).not.toEqual([])
    const { token } = await again.call('invite', { registry: 'acme' })
    const back = await runningNode({ home: other.home })
    expect(await back.call('join', { token })).toMatchObject({ already: true })
    expect(await keptBy(back)).toMatchObject({
      secrets: { epoch: 1, secret: (await keptBy(again)).secrets?.secret },
      vouched: parseToken(token).addresses
    })
    await expect
      .poll(async () => (await back.call('swarmList', {}))[0])
      .toMatchObject({ epoch: 1, running: true, peers: 1 })
  })

  test('tells the second holder of a used invite who used it, and leaves nothing behind', async () => {
    const { node } = await founder()
    const { token } = await newcomer(node)
    const late = await runningNode()
    await expect(late.call('join', { token })).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
    expect(await late.call('registryList', {})).toEqual([])
    expect(await late.call('swarmList', {})).toEqual([])
  })

  test('is left without a trace', async () => {
    const { node } = await founder()
    const { node: other } = await newcomer(node)
    await other.call('install', { references: ['acme:tool'], project: await tempDir('project') })
    await other.call('swarmLeave', { registry: 'acme', purge: true })
    expect(await other.call('registryList', {})).toEqual([])
    const names = await readdir(other.home, { recursive: true })
    expect(names.filter(name => name.includes('acme') && !name.startsWith('swarm-acme'))).toEqual([])
  })

  test('is nothing that the public swarm hears of', async () => {
    const { node, registry } = await founder()
    const stranger = await runningNode()
    await stranger.call('connect', { address: node.address })
    const [seen] = stranger.parts.network().peers()
    expect(seen?.registries).toEqual([])
    // Following it by its id brings nothing, and asks nobody twice.
    await stranger.call('registryAdd', { id: registry, isDefault: true })
    stranger.parts.network().reconcile(parseRegistryId(registry))
    const { contents } = (await node.call('show', { reference: 'acme:tool' })).versions[0] ?? { contents: [] }
    const root = toLink(parseContentId(contents[0]?.cid ?? ''))
    const session = stranger.parts.network().fetch(undefined, { signal: AbortSignal.timeout(2_000) })
    await expect(session.block(root)).rejects.toThrow()
    session.close()
    expect(stranger.parts.facts.head(parseRegistryId(registry)).count).toBe(0)
    // The private host says nothing at all to who does not know its secret.
    const { addresses = [] } = (await node.call('swarmList', {}))[0] ?? {}
    await expect(stranger.call('connect', { address: addresses[0] ?? '' })).rejects.toMatchObject({
      code: 'PEER_SILENT'
    })
  })

  test('keeps its blocks from the public swarm, also when a public registry names them', async () => {
    const { node } = await founder()
    const { contents } = (await node.call('show', { reference: 'acme:tool' })).versions[0] ?? { contents: [] }
    const root = parseContentId(contents[0]?.cid ?? '')
    expect(await node.parts.spaces.named('acme').blocks.has(toLink(root))).toBe(true)
    expect(await node.parts.spaces.public.blocks.has(toLink(root))).toBe(false)
    const open = await node.call('registryCreate', { name: 'open' })
    const wanted = { registry: open.id, root, size: 100_000 }
    await expect(fetchInto(node.parts, wanted, AbortSignal.timeout(3_000))).rejects.toThrow()
    expect(await node.parts.spaces.public.isKept(root)).toBe(false)
  })

  test('has members without a person, who sign with the key of their token', async () => {
    const { node } = await founder()
    const { token, member } = await node.call('invite', { registry: 'acme', ci: true, role: 'publisher' })
    const machine = await runningNode({ token })
    expect(machine.key).toBe(member)
    await expect
      .poll(async () => (await machine.call('swarmList', {}))[0])
      .toMatchObject({ name: 'acme', running: true, peers: 1 })
    await machine.call('publish', { folder: await packageFolder({ name: 'tool', version: '1.1.0' }), registry: 'acme' })
    const found = async () =>
      (await node.call('show', { reference: 'acme:tool' })).versions.map(({ version }) => version)
    await expect.poll(found).toContain('1.1.0')
    expect((await listKeys(machine.home)).map(({ key }) => key)).not.toContain(member)
  })
})
