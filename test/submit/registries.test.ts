import { readFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { errorOf } from '../support/daemon.ts'
import { HEARD_MS } from '../support/heard.ts'
import { containing } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(stopRunningNodes)

const ask = (node: TestRunningNode, reference: string) => node.call('submit', { reference, owners: [] })
const publish = async (node: TestRunningNode, name: string) =>
  node.call('publish', { folder: await packageFolder({ name, files: { 'words.txt': `of ${name}\n` } }) })

describe('an open registry', () => {
  test('gives a stranger the name at once, he publishes, and a third node installs it', async () => {
    const curator = await runningNode()
    const registry = await curator.found('open')
    const stranger = await runningNode()
    await join(stranger, registry, curator)
    expect(await errorOf(publish(stranger, 'novel'))).toMatchObject({
      code: 'NOT_AUTHORIZED',
      next: 'ask for the name: ggen-node submit novel'
    })
    expect(await ask(stranger, 'novel')).toMatchObject({
      state: 'granted',
      here: true,
      curator: curator.peerId,
      keys: [stranger.key]
    })
    await publish(stranger, 'novel')

    const third = await runningNode()
    await join(third, registry, curator)
    await third.call('connect', { address: stranger.address })
    await expect.poll(async () => (await third.call('search', { query: 'novel', limit: 5 })).length).toBe(1)
    const project = await tempDir('project')
    await third.call('install', { references: ['novel'], project })
    expect(await readFile(joinPath(project, '.ggen/packages/novel/words.txt'), 'utf8')).toBe('of novel\n')
  })

  test('says so again to its owner, and refuses the name to everybody else', async () => {
    const curator = await runningNode()
    const registry = await curator.found('open')
    const [first, second] = [await runningNode(), await runningNode()]
    await join(first, registry, curator)
    await join(second, registry, curator)
    await ask(first, 'novel')
    expect(await ask(first, 'novel')).toMatchObject({ state: 'granted', here: true })
    expect(await errorOf(ask(second, 'novel'))).toMatchObject({ code: 'NAME_TAKEN' })
  })

  test('two strangers who ask at the same moment do not both get it', async () => {
    const curator = await runningNode()
    const registry = await curator.found('open')
    const strangers = [await runningNode(), await runningNode()]
    for (const stranger of strangers) await join(stranger, registry, curator)
    const told = await Promise.allSettled(strangers.map(stranger => ask(stranger, 'novel')))
    expect(told.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  })
})

describe('a curated registry', () => {
  test('lets a person decide: the stranger waits, is granted the name, publishes, and a third node installs it', async () => {
    const curator = await runningNode()
    const registry = await curator.found('curated')
    const stranger = await runningNode()
    await join(stranger, registry, curator)
    const note = 'a novel\nin two volumes'
    const params = { reference: 'main:novel', owners: [], note }
    expect(await stranger.call('submit', params)).toMatchObject({ state: 'waiting', fact: null, alias: 'main' })
    expect(await stranger.call('submit', params)).toMatchObject({ state: 'waiting' })
    expect(await ask(stranger, 'novel')).toMatchObject({ state: 'waiting' })
    expect(await curator.call('curateList', {})).toMatchObject([
      { name: 'ggen/novel', by: stranger.key, keys: [stranger.key], threshold: 1, note }
    ])
    expect(await curator.call('curateGrant', { names: ['novel'] })).toMatchObject([{ name: 'ggen/novel', registry }])
    expect(await curator.call('curateList', {})).toEqual([])
    expect(await ask(stranger, 'novel')).toMatchObject({ state: 'granted', here: true })
    await publish(stranger, 'novel')

    const third = await runningNode()
    await join(third, registry, stranger)
    await expect.poll(async () => (await third.call('search', { query: 'novel', limit: 5 })).length).toBe(1)
    const project = await tempDir('project')
    expect((await third.call('install', { references: ['novel'], project })).installed).toMatchObject([
      { name: 'novel' }
    ])
  })

  test('tells the stranger why it denied the name, and lets him ask anew', async () => {
    const curator = await runningNode()
    const registry = await curator.found('curated')
    const stranger = await runningNode()
    await join(stranger, registry, curator)
    const first = await ask(stranger, 'novel')
    await curator.call('curateDeny', { name: first.id ?? '', reason: 'too\u202e general' })
    expect(await ask(stranger, 'novel')).toMatchObject({ state: 'denied', reason: 'too general', id: first.id })
    const second = await ask(stranger, 'novel')
    expect(second).toMatchObject({ state: 'waiting' })
    expect(second.id).not.toBe(first.id)
  })

  test('keeps what waits over a restart, once', async () => {
    const curator = await runningNode()
    const registry = await curator.found('curated')
    const stranger = await runningNode()
    await join(stranger, registry, curator)
    const { id } = await ask(stranger, 'novel')
    await curator.stop()
    const again = await runningNode({ home: curator.home })
    await stranger.call('connect', { address: again.address })
    expect(await ask(stranger, 'novel')).toMatchObject({ state: 'waiting', id })
    expect(await again.call('curateList', {})).toMatchObject([{ id, name: 'ggen/novel' }])
    await again.call('curateGrant', { names: [id ?? ''] })
    expect(await ask(stranger, 'novel')).toMatchObject({ state: 'granted', here: true })
  })

  test('gives a name to one of two who want it, and tells the other', async () => {
    const curator = await runningNode()
    const registry = await curator.found('curated')
    const strangers = [await runningNode(), await runningNode()] as const
    for (const stranger of strangers) await join(stranger, registry, curator)
    const first = await ask(strangers[0], 'novel')
    await ask(strangers[1], 'novel')
    expect(await errorOf(curator.call('curateGrant', { names: ['novel'] }))).toMatchObject({
      code: 'USAGE',
      next: 'name one by its id'
    })
    await curator.call('curateGrant', { names: [first.id ?? ''] })
    expect(await curator.call('curateList', {})).toEqual([])
    // The genesis and the claim: before that has arrived, the answer is the curator's.
    await strangers[1].call('waitFor', { registry, facts: 2, peers: 0, kept: false, timeoutMs: HEARD_MS })
    expect(await errorOf(ask(strangers[1], 'novel'))).toMatchObject({ code: 'NAME_TAKEN' })
  })

  test('lets several own a name together', async () => {
    const curator = await runningNode()
    const registry = await curator.found('curated')
    const [stranger, friend] = [await runningNode(), await runningNode()]
    await join(stranger, registry, curator)
    await stranger.call('submit', { reference: 'novel', owners: [friend.key], threshold: 2 })
    await curator.call('curateGrant', { names: ['novel'] })
    const { keys, threshold } = await ask(stranger, 'novel')
    expect(keys).toEqual([stranger.key, friend.key].toSorted())
    expect(threshold).toBe(2)
  })
})

describe('whom to ask', () => {
  test('a node that curates says so in its hello', async () => {
    const curator = await runningNode()
    const registry = await curator.found('open')
    const stranger = await runningNode()
    await join(stranger, registry, curator)
    const [there] = stranger.parts.network().peers()
    const [here] = curator.parts.network().peers()
    expect([there?.roles, here?.roles]).toEqual([['curator'], []])
  })

  test('with nobody who curates, the failure says who was asked and what they said', async () => {
    const curator = await runningNode()
    const registry = await curator.found('open')
    const mirror = await runningNode()
    await join(mirror, registry, curator)
    await curator.stop()
    const stranger = await runningNode()
    await join(stranger, registry, mirror)
    const error = await errorOf(ask(stranger, 'novel'))
    expect(error).toMatchObject({ code: 'NO_CURATOR', next: containing('ggen-node connect') })
    expect(error.tried).toEqual([`asked ${mirror.peerId}: not-a-curator, it gives out no such names`])
  })

  test('with nobody there, the failure says so', async () => {
    const node = await runningNode()
    const registry = await node.found('open')
    const stranger = await runningNode()
    await join(stranger, registry, node)
    await node.stop()
    await expect
      .poll(() =>
        stranger.parts
          .network()
          .peers()
          .some(peer => peer.connected)
      )
      .toBe(false)
    expect(await errorOf(ask(stranger, 'novel'))).toMatchObject({ code: 'NO_CURATOR', tried: [] })
  })

  test('a key that curates asks nobody else', async () => {
    const node = await runningNode()
    await node.found('open')
    expect(await ask(node, 'novel')).toMatchObject({ state: 'granted', here: true, curator: 'self' })
  })
})
