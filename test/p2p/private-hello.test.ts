import { afterEach, describe, expect, test } from 'vitest'
import { setImmediate } from 'node:timers/promises'
import { COMPANY, certificateOf, companyHost, employee } from '../support/company.ts'
import { RawMember, introductionOf } from '../support/raw-member.ts'
import { dialRaw, rawPeer, stopRawPeers } from '../support/raw-peer.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'
import { helloSecret } from '../support/company.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const boss = employee('boss', 'owner')
const ann = employee('ann')
const eve = employee('eve')
const staff = [boss, ann]

describe('two hosts of one private swarm', () => {
  test('introduce themselves, and each knows who the other is', async () => {
    const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
    expect(await b.node.swarm.connect(a.node.address())).toBe(a.node.swarm.peerId)
    await a.node.events.next('onPeer')
    expect(b.node.swarm.peers()[0]).toMatchObject({ connected: true, version: 1, registries: [COMPANY] })
    expect(a.node.swarm.peers()[0]).toMatchObject({ connected: true, version: 1, registries: [COMPANY] })
    expect([a.membership.judged, b.membership.judged]).toEqual([[b.node.swarm.peerId], [a.node.swarm.peerId]])
  })

  test('a dialler that does not know the listener lets it go first, when it is known there', async () => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(ann, staff, { prepare: membership => void (membership.known = new Set()) })
    await b.node.swarm.connect(a.node.address())
    await a.node.events.next('onPeer')
    expect(b.node.swarm.peers()[0]?.registries).toEqual([COMPANY])
  })

  test('who are both unknown to each other say nothing about themselves', async () => {
    const prepare = (membership: { known: ReadonlySet<string> | 'everybody' }) => void (membership.known = new Set())
    const a = await companyHost(boss, staff, { prepare })
    const b = await companyHost(ann, staff, { prepare })
    await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject({
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining('does not know this node') as string,
      detail: { reason: 'unknown-peer' }
    })
    expect([a.membership.judged, b.membership.judged]).toEqual([[], []])
    // It is enough that one of them is told of the other.
    a.membership.known = new Set([b.node.swarm.peerId])
    await b.node.swarm.connect(a.node.address())
  })

  test('who becomes known while an older connection is being refused gets in with the same call', async () => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(eve, staff)
    const { asked, dialled } = heldUp(a)
    // Somebody who dials by itself, as the host does with those it knows, and is judged by what it is then.
    const early = b.node.swarm.connect(a.node.address())
    await asked
    a.membership.staff.set(eve.key, 'member')
    const late = b.node.swarm.connect(a.node.address())
    // It was handed the connection that is there.
    await setImmediate()
    dialled.resolve()
    await expect(early).rejects.toMatchObject({ code: 'NOT_AUTHORIZED', detail: { reason: 'not-a-member' } })
    expect(await late).toBe(a.node.swarm.peerId)
    expect(a.membership.judged).toEqual([b.node.swarm.peerId, b.node.swarm.peerId])
  })

  test('who is refused on a connection that the other side opened is judged on one of its own', async () => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(eve, staff)
    const { asked, dialled } = heldUp(a)
    const early = a.node.swarm.connect(b.node.address())
    await asked
    a.membership.staff.set(eve.key, 'member')
    const late = b.node.swarm.connect(a.node.address())
    await setImmediate()
    dialled.resolve()
    await expect(early).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
    expect(await late).toBe(a.node.swarm.peerId)
  })

  test('who is refused on a connection of its own is told at once, and once', async () => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(eve, staff)
    await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject({ detail: { reason: 'not-a-member' } })
    expect(a.membership.judged).toEqual([b.node.swarm.peerId])
  })

  test('who dial each other at the same moment end up introduced, and known once', async () => {
    const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
    await Promise.all([a.node.swarm.connect(b.node.address()), b.node.swarm.connect(a.node.address())])
    await Promise.all([a.node.events.next('onPeer'), b.node.events.next('onPeer')])
    expect(a.node.events.of('onPeer')).toEqual([b.node.swarm.peerId])
    expect(b.node.events.of('onPeer')).toEqual([a.node.swarm.peerId])
    for (const { node } of [a, b]) expect(node.swarm.peers().filter(({ connected }) => connected).length).toBe(1)
  })

  test('meet under the old secret while both still take it, and not after', async () => {
    const a = await companyHost(boss, staff, { prepare: membership => void (membership.epochs = [2, 1]) })
    const b = await companyHost(ann, staff)
    await b.node.swarm.connect(a.node.address())
    await a.node.events.next('onPeer')
    await b.node.swarm.disconnect(a.node.swarm.peerId)
    await a.node.events.next('onPeerGone')
    await a.node.swarm.connect(b.node.address())
    await b.node.events.next('onPeer', 1)
    await a.node.swarm.disconnect(b.node.swarm.peerId)
    await b.node.events.next('onPeerGone', 1)
    a.membership.epochs = [2]
    b.membership.epochs = [1]
    for (const [from, to] of [
      [a, b],
      [b, a]
    ] as const) {
      await expect(from.node.swarm.connect(to.node.address())).rejects.toMatchObject({
        code: 'PEER_SILENT',
        message: expect.stringContaining('did not answer to the secret') as string
      })
    }
  })

  test('without a version in common are told so, after they have proved who they are', async () => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(ann, staff, { config: { versions: [9] } })
    await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject({ code: 'PEER_INCOMPATIBLE' })
    expect(a.membership.judged).toEqual([b.node.swarm.peerId])
  })
})

describe('who is not let in is told one word, and a person reads why', () => {
  test.each([
    ['not-a-member', 'no member of the swarm'],
    ['expired', 'has expired'],
    ['invite-over', 'the invite by which it joined is over'],
    ['unknown-issuer', 'whoever issued its certificate may not']
  ] as const)('%s', async (reason, words) => {
    const a = await companyHost(boss, staff)
    const b = await companyHost(reason === 'not-a-member' ? eve : ann, staff, {
      prepare: membership => {
        const { peer } = membership
        if (reason === 'expired') {
          const [issued, lifeMs] = [Date.now() - 10_000, 5_000]
          membership.certificate = certificateOf({ peer, member: ann.key, issuer: boss, issued, lifeMs })
        }
        if (reason === 'invite-over') membership.certificate = null
        if (reason === 'unknown-issuer') membership.certificate = certificateOf({ peer, member: ann.key, issuer: eve })
      }
    })
    const refused = {
      code: 'NOT_AUTHORIZED',
      message: expect.stringContaining(words) as string,
      next: expect.stringMatching(/\w/) as string,
      detail: { reason }
    }
    await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject(refused)
    // The other way round it is the dialler who refuses.
    await expect(a.node.swarm.connect(b.node.address())).rejects.toMatchObject(refused)
    for (const { node } of [a, b]) {
      expect(node.events.of('onPeer')).toEqual([])
      expect(node.swarm.peers().filter(({ connected }) => connected)).toEqual([])
    }
    // a went first when it dialled, b never did.
    expect(b.membership.judged.length).toBeLessThanOrEqual(1)
  })

  test('a public node and a private one do not understand each other', async () => {
    const [a, b] = [await companyHost(boss, staff), await testNode()]
    await expect(b.swarm.connect(a.node.address())).rejects.toMatchObject({ code: 'PEER_SILENT' })
    await expect(a.node.swarm.connect(b.address())).rejects.toMatchObject({ code: 'PEER_SILENT' })
    expect(a.membership.judged).toEqual([])
  })
})

describe('a peer that knows the secret', () => {
  const { key } = helloSecret(1)

  /** Somebody with the secret and, if `member` says so, a certificate; nothing else is honest about it. */
  async function rawMember(address: string) {
    const host = await rawPeer()
    const connection = await dialRaw(host, address)
    const member = await RawMember.on(connection, host, key)
    const shown = introductionOf({
      certificate: certificateOf({ peer: host.peerId.toString(), member: ann.key, issuer: boss })
    })
    return { host, connection, member, shown }
  }

  test('is let in when it is a member too', async () => {
    const a = await companyHost(boss, staff)
    const { host, member, shown } = await rawMember(a.node.address())
    await member.open()
    expect(await member.introduce(shown)).toMatchObject({ refused: null, introduction: { registries: [COMPANY] } })
    await member.accept()
    expect(await a.node.events.next('onPeer')).toBe(host.peerId.toString())
  })

  test('and is no member hears one word and no introduction', async () => {
    const a = await companyHost(boss, staff)
    const { host, member } = await rawMember(a.node.address())
    await member.open()
    const certificate = certificateOf({ peer: host.peerId.toString(), member: eve.key, issuer: eve })
    const turn = await member.introduce(introductionOf({ certificate }))
    expect(turn).toEqual({ refused: 'not-a-member', introduction: null })
    expect(await member.hear()).toBeUndefined()
  })

  test('and shows the certificate of another host is no member', async () => {
    const a = await companyHost(boss, staff)
    const { member } = await rawMember(a.node.address())
    await member.open()
    const stolen = a.membership.certificate
    expect(await member.introduce(introductionOf({ certificate: stolen }))).toMatchObject({ refused: 'not-a-member' })
  })

  test('cannot make a host that does not know it go first', async () => {
    const a = await companyHost(boss, staff, { prepare: membership => void (membership.known = new Set()) })
    const { member } = await rawMember(a.node.address())
    await member.open()
    expect(await member.introduce(null)).toEqual({ refused: 'unknown-peer', introduction: null })
    expect(await member.hear()).toBeUndefined()
  })

  test('that is barred while it introduces itself is not told who it talks to', async () => {
    const a = await companyHost(boss, staff)
    const { host, connection, member } = await rawMember(a.node.address())
    await member.open()
    a.membership.barred.add(host.peerId.toString())
    expect(await member.introduce(null)).toEqual({ refused: 'unknown-peer', introduction: null })
    // And looked at in the middle of it, it is cut.
    a.membership.barred.clear()
    const again = await dialRaw(host, a.node.address())
    await (await RawMember.on(again, host, key)).open()
    a.membership.barred.add(host.peerId.toString())
    expect(a.node.swarm.recheck()).toBe(1)
    await expect.poll(() => [connection.status, again.status]).not.toContain('open')
  })

  test('an old opening, said again, gets as far as the reply and hears nobody', async () => {
    const a = await companyHost(boss, staff)
    const first = await rawMember(a.node.address())
    const opening = first.member.opening()
    await first.member.open()
    await first.connection.close()
    // It keeps what it once said, and no longer has the secret.
    const connection = await dialRaw(first.host, a.node.address())
    const again = await RawMember.on(connection, first.host, new Uint8Array(32))
    await again.say(opening)
    expect(await again.hear()).toBeDefined()
    expect(await again.introduce(first.shown)).toBeUndefined()
    expect(a.membership.judged).toEqual([])
  })

  test('what a host said to it opens nothing elsewhere', async () => {
    const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
    const thief = await rawPeer()
    // The host dials the thief, who keeps its opening …
    const got = Promise.withResolvers<Uint8Array>()
    await thief.handle('/ggen/hello/1', (stream, connection) => {
      stream.addEventListener('message', event => {
        got.resolve(Uint8Array.from(event.data.subarray()).slice(4))
        void connection.close()
      })
    })
    const address = thief.getMultiaddrs()[0]?.toString() ?? ''
    await expect(a.node.swarm.connect(address)).rejects.toMatchObject({ code: 'PEER_SILENT' })
    const opening = await got.promise
    // … and says it to another host, and back to the same one.
    for (const target of [a, b]) {
      const member = await RawMember.on(await dialRaw(thief, target.node.address()), thief, key)
      await member.say(opening)
      expect(await member.hear()).toBeUndefined()
    }
  })

  test.each([
    ['a second introduction in place of the end', (shown: ReturnType<typeof introductionOf>) => shown, 8],
    ['no introduction where one belongs', () => null, 8]
  ])('%s is struck for it', async (_, last, times) => {
    const a = await companyHost(boss, staff)
    const host = await rawPeer()
    const shown = introductionOf({
      certificate: certificateOf({ peer: host.peerId.toString(), member: ann.key, issuer: boss })
    })
    const afterYou = last(shown) === null
    for (let i = 0; i < times; i++) {
      const connection = await dialRaw(host, a.node.address())
      const member = await RawMember.on(connection, host, key)
      await member.open()
      expect(await member.introduce(afterYou ? null : shown)).toMatchObject({ refused: null })
      const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
      await member.accept(last(shown))
      await closed
    }
    expect(a.node.events.of('onCut')).toMatchObject([{ peer: host.peerId.toString(), reason: 'malformed-message' }])
  })

  test('an introduction of a megabyte is refused at its header', async () => {
    const a = await companyHost(boss, staff)
    const { member } = await rawMember(a.node.address())
    await member.open()
    const header = new Uint8Array(4)
    new DataView(header.buffer).setUint32(0, 2 ** 20)
    member.io.stream.send(header)
    expect(await member.hear()).toBeUndefined()
    expect(member.io.stream.status).toBe('reset')
  })

  test('membership that ends between the judgement and the last word lets nobody in', async () => {
    const a = await companyHost(boss, staff)
    const { connection, member, shown } = await rawMember(a.node.address())
    await member.open()
    expect(await member.introduce(shown)).toMatchObject({ refused: null })
    a.membership.staff.delete(ann.key)
    const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
    await member.accept()
    await closed
    expect([...a.node.events.of('onPeer'), ...a.node.events.of('onPeerGone')]).toEqual([])
    expect(a.node.events.of('onExpelled').length).toBe(1)
  })
})

/** A host that has judged somebody, and says so only when the other has dialled. */
function heldUp({ membership }: Awaited<ReturnType<typeof companyHost>>) {
  const judge = membership.judge.bind(membership)
  const asked = Promise.withResolvers<void>()
  const dialled = Promise.withResolvers<void>()
  membership.judge = async (peer, proof) => {
    const verdict = await judge(peer, proof)
    asked.resolve()
    await dialled.promise
    return verdict
  }
  return { asked: asked.promise, dialled }
}
