import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caughtUp, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { freePort } from '../support/free-port.ts'
import { Detector, told } from '../support/leak/findings.ts'
import { textThing } from '../support/leak/needles.ts'
import type { Thing } from '../support/leak/needles.ts'
import type { Plant } from '../support/leak/plants.ts'
import { NO_RUMOURS, startStranger } from '../support/leak/stranger.ts'
import type { Stranger } from '../support/leak/stranger.ts'
import { blockThings, factThings, secretThings, without } from '../support/leak/things.ts'
import { startWatched } from '../support/leak/watched.ts'
import type { WatchedDaemon } from '../support/leak/watched.ts'
import { packageFolder } from '../support/package-folder.ts'

// The instruments of the test for leaks, on a node that has nothing to hide. What nobody may hear of lies in a data
// directory of its own, which no node with a network was ever started on.
const HIDDEN = 'hidden-billing-rules'
const SHOWN = 'shown-colour-tables'

let node: WatchedDaemon
let friend: WatchedDaemon
let stranger: Stranger
let registry: string
let places: string[]
let shown: readonly Thing[]
let hidden: { readonly registry: string; readonly cid: string; readonly things: readonly Thing[] }

beforeAll(async () => {
  const [first, second] = await Promise.all([startDaemon(), startWatched()])
  node = second
  hidden = await hiddenRegistry(first)
  registry = (await node.client.call('registryCreate', { name: 'town-hall' })).id
  const files = { 'colours.txt': 'red, green and blue\n' }
  await node.client.call('publish', { folder: await packageFolder({ name: SHOWN, files }) })
  friend = await startWatched({ args: ['--keep', 'all', '--bootstrap', node.address] })
  await friend.client.call('registryAdd', { id: registry, peer: node.address, isDefault: true })
  await caughtUp(node, friend, registry, { kept: true })
  stranger = await startStranger('curious')
  const { addresses } = await stranger.host(['/ip4/127.0.0.1/tcp/0'], [registry])
  places = [node.address, friend.address, ...addresses].map(placeOf)
})

afterAll(async () => {
  await stranger.end()
  for (const each of [friend, node]) await each.stop()
})

/** A registry with a package, made by a node that is gone when the test begins. */
async function hiddenRegistry(maker: Daemon): Promise<typeof hidden> {
  const { id } = await maker.client.call('registryCreate', { name: 'back-room' })
  const folder = await packageFolder({ name: HIDDEN, files: { 'rules.txt': 'the rules of billing\n' } })
  const { cid } = await maker.client.call('publish', { folder })
  await maker.stop()
  const facts = await factThings(maker.home, [id])
  const others = [...(await blockThings(join(maker.home, 'blocks'))), ...(await secretThings(maker.home))]
  return { registry: id, cid, things: [...facts, ...others, textThing('name', 'back-room')] }
}

const findings = async (things: readonly Thing[], witness: { readonly recording: string }) =>
  await new Detector(things).read(witness.recording)
const kindsIn = async (things: readonly Thing[], witness: { readonly recording: string }) =>
  [...new Set((await findings(things, witness)).map(({ kind }) => kind))].sort()

describe('what a node shows everybody', () => {
  test('is shown to a stranger who asks, in every way in which he can ask', async () => {
    const { cid } = (await node.client.call('show', { reference: SHOWN })).versions[0]?.contents[0] ?? { cid: '' }
    const rumours = { ...NO_RUMOURS, cids: [cid], registries: [registry] }
    const visit = await stranger.visit(node.address, { rumours })
    expect(visit).toMatchObject({ connected: true, accepted: true })
    const { registries, topics, answers, peers } = await stranger.report()
    expect(registries).toEqual([registry])
    expect(topics.find(({ peer }) => peer === node.peerId)?.topics).toEqual([`/ggen/1/${registry}/facts`])
    const tellers = [...visit.answers, ...answers].filter(({ tells }) => tells).map(({ to }) => to)
    expect(new Set(tellers)).toEqual(new Set(['bitswap', 'facts', 'kad', 'snapshot', 'sync']))
    expect(peers.find(({ id }) => id === node.peerId)?.protocols).toContain('/ggen/kad/1.0.0')
  })

  test('is in the recording of the stranger, and in that of a friend', async () => {
    await node.client.call('publish', { folder: await packageFolder({ name: SHOWN, version: '1.1.0' }) })
    await caughtUp(node, friend, registry, { kept: true })
    shown = await factsOf(friend, registry)
    expect(await kindsIn(shown, stranger)).toEqual(['chain', 'content', 'fact', 'key', 'name'])
    expect(await kindsIn(shown, friend)).toEqual(['chain', 'content', 'fact', 'key', 'name'])
  })

  test('is all that they were told', async () => {
    const open = [...shown, ...(await blockThings(join(node.home, 'blocks')))]
    const things = without(hidden.things, open)
    expect(things.length).toBeGreaterThan(8)
    expect(told(await findings(things, stranger))).toEqual([])
    expect(told(await findings(things, friend))).toEqual([])
  })

  test('makes it reach out for nobody else', async () => {
    // The stranger is in the DHT, and a friend that was away is looked for where he was.
    expect((await node.outgoing()).filter(line => !places.includes(line))).toEqual([])
    expect((await friend.outgoing()).filter(line => !places.includes(line))).toEqual([])
    expect(await friend.outgoing()).toContain(placeOf(node.address))
  })
})

/** A second life of a data directory: its daemon holds the lock, so it ends before its facts are read. */
async function factsOf(daemon: WatchedDaemon, id: string): Promise<readonly Thing[]> {
  await daemon.stop()
  const things = await factThings(daemon.home, [id])
  const again = await startWatched({ home: daemon.home, args: ['--bootstrap', node.address] })
  friend = { ...again, recording: daemon.recording }
  places.push(placeOf(again.address))
  return things
}

function placeOf(address: string): string {
  const [, , host = '', , port = ''] = address.split('/')
  return `tcp ${host}:${port}`
}

describe('a leak is found', () => {
  test('when a stranger asks about what he has heard of, and he is not told', async () => {
    const { cid } = hidden
    const rumours = { ...NO_RUMOURS, cids: [cid], registries: [hidden.registry] }
    const knowing = await startStranger('knowing')
    await knowing.host(['/ip4/127.0.0.1/tcp/0'], [registry])
    const visit = await knowing.visit(node.address, { rumours })
    expect(visit.accepted).toBe(true)
    await expect.poll(async () => (await knowing.report()).answers.length).toBeGreaterThan(0)
    const all = [...visit.answers, ...(await knowing.report()).answers]
    expect(all.filter(({ tells }) => tells)).toEqual([])
    expect(all).toContainEqual({ to: 'facts', about: hidden.registry, got: 'unknown-registry', tells: false })
    expect(all).toContainEqual({ to: 'bitswap', about: cid, got: 'no', tells: false })
    await knowing.end()
  })

  const PLANTS: readonly (readonly [string, () => Plant])[] = [
    ['a registry followed in the wrong swarm', () => ({ plant: 'follow', registry: hidden.registry })],
    ['a topic on the wrong host', () => ({ plant: 'topic', topic: `/ggen/2/${HIDDEN}` })],
    ['a root announced in the public DHT', () => ({ plant: 'provide', cid: hidden.cid })],
    ['a root looked for in the public DHT', () => ({ plant: 'look-up', cid: hidden.cid })],
    ['a block asked for in the public swarm', () => ({ plant: 'want', cid: hidden.cid })],
    ['a protocol on the wrong host', () => ({ plant: 'protocol', protocol: `/ggen/${HIDDEN}/kad/1.0.0` })]
  ]
  test.each(PLANTS)(
    '%s',
    async (_, order) => {
      const since = Date.now()
      const detector = new Detector(hidden.things)
      await node.plant(order())
      await stranger.visit(node.address, {})
      await expect.poll(async () => await detector.read(stranger.recording, { since })).not.toEqual([])
    },
    120_000
  )

  test('on a port that was not there before', async () => {
    const since = Date.now()
    const port = await freePort()
    expect(await stranger.knock('127.0.0.1', [port])).toEqual([])
    await node.plant({ plant: 'page', host: '127.0.0.1', port, text: `we have ${HIDDEN}` })
    await expect.poll(async () => await stranger.knock('127.0.0.1', [port])).toEqual([port])
    const found = await new Detector(hidden.things).read(stranger.recording, { since })
    expect(found).toMatchObject([{ kind: 'name', where: `tcp 127.0.0.1:${port}` }])
  })

  test('in what the node reaches out for', async () => {
    await node.plant({ plant: 'dial', host: '127.0.0.9', port: 9 })
    await expect.poll(async () => await node.outgoing()).toContain('tcp 127.0.0.9:9')
    await node.plant({ plant: 'dns', name: `${HIDDEN}.example` })
    await expect.poll(async () => await node.outgoing()).toContain(`dns ${HIDDEN}.example`)
  })
})

test('a content id is the same for a witness, whatever codec it comes with', () => {
  const raw = CID.createV1(0x55, CID.parse(hidden.cid).multihash).toString()
  expect(told(new Detector(hidden.things).find([{ at: 1, channel: 'udp', bytes: Buffer.from(raw) }]))).toHaveLength(1)
})
