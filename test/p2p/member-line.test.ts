import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import {
  MEMBER_PROTOCOL,
  decodeMemberResponse,
  encodeMemberRequest,
  encodeMemberResponse
} from '../../protocol/membership/member-messages.ts'
import { privateKeys } from '../../protocol/membership/names.ts'
import type { MemberRequest, MemberResponse } from '../../protocol/membership/member-messages.ts'
import {
  certificateOf,
  companyHost,
  employee,
  helloSecret,
  keyRecord,
  movedBy,
  peerNumbered
} from '../support/company.ts'
import type { CompanyHost, Employee } from '../support/company.ts'
import { RawMember, introductionOf } from '../support/raw-member.ts'
import { rawPeer, stopRawPeers } from '../support/raw-peer.ts'
import { stopNodes } from '../support/swarm-node.ts'
import { testClock } from '../support/test-clock.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const boss = employee('boss', 'owner')
const [ann, bob] = [employee('ann'), employee('bob')]
const staff = [boss, ann, bob]
const { membership: limits } = LIMITS

/** A certificate of a host's own of which so much of its life is left. */
function leftOf({ membership }: CompanyHost, part: number): Uint8Array {
  const { peer } = membership
  const issued = Math.round(Date.now() - limits.certificateMs * (1 - part))
  return certificateOf({ peer, member: membership.self.key, issuer: boss, issued })
}

/** Resolves when somebody has walked through the roster of a host. */
async function rosterAsked({ membership }: CompanyHost): Promise<void> {
  await expect.poll(() => membership.rosterAsked.length).toBeGreaterThan(0)
}

describe('certificates', () => {
  test('are asked for from a third left, of who may issue them, and not before', async () => {
    const [owner, colleague] = [await companyHost(boss, staff), await companyHost(bob, staff)]
    const me = await companyHost(ann, staff)
    me.membership.certificate = leftOf(me, 0.4)
    await me.node.swarm.connect(owner.node.address())
    await me.node.swarm.connect(colleague.node.address())
    // A walk through the roster comes after the question that is not asked.
    await rosterAsked(owner)
    await rosterAsked(colleague)
    expect(owner.membership.askedForCertificate).toEqual([])
    const old = leftOf(me, 0.3)
    me.membership.certificate = old
    me.membership.changed()
    await expect.poll(() => me.membership.certificate !== old).toBe(true)
    const { member, peer, issuer } = parseCertificate(me.membership.certificate).body
    expect({ member, peer, issuer }).toEqual({ member: ann.key, peer: me.node.swarm.peerId, issuer: boss.key })
    expect(owner.membership.askedForCertificate).toEqual([me.node.swarm.peerId])
    expect(colleague.membership.askedForCertificate).toEqual([])
  })

  test('are asked for when an owner appears, and again after a while of one who could not', async () => {
    const time = testClock(Date.now())
    const clock = movedBy(time)
    const owner = await companyHost(boss, staff)
    let refusals = 0
    const issue = owner.membership.certify.bind(owner.membership)
    owner.membership.certify = async (peer, member) => {
      if (refusals++ < 1) throw new Error('the disk is full')
      return await issue(peer, member)
    }
    const colleague = await companyHost(bob, staff)
    const me = await companyHost(ann, staff, { clock })
    const old = leftOf(me, 0.1)
    me.membership.certificate = old
    await me.node.swarm.connect(colleague.node.address())
    await me.node.swarm.connect(owner.node.address())
    await expect.poll(() => refusals).toBe(1)
    expect(me.membership.certificate).toBe(old)
    // Nobody is asked again and again because something else changes.
    me.membership.changed()
    await time.advance(limits.recheckMs)
    await expect.poll(() => me.membership.certificate === old).toBe(false)
    expect(refusals).toBe(2)
  })
})

describe('rosters', () => {
  test('are exchanged by both sides, page by page', async () => {
    const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
    const known = limits.rosterPage * 2 + 5
    for (let i = 0; i < known; i++) {
      const peer = peerNumbered(i)
      a.membership.hosts.set(peer, certificateOf({ peer, member: bob.key, issuer: boss }))
    }
    await b.node.swarm.connect(a.node.address())
    await expect.poll(() => b.membership.hosts.size).toBe(known)
    expect(b.membership.rosterPages).toEqual([limits.rosterPage, limits.rosterPage, 5])
    expect([...b.membership.hosts.keys()].toSorted()).toEqual([...a.membership.hosts.keys()].toSorted())
  })
})

test('who has an older secret gets the newer one from whoever has it', async () => {
  const a = await companyHost(boss, staff, { prepare: membership => void (membership.epochs = [2, 1]) })
  const b = await companyHost(ann, staff)
  const taken: Uint8Array[] = []
  const take = b.membership.takeSwarmKey.bind(b.membership)
  b.membership.takeSwarmKey = async record => {
    taken.push(record)
    await take(record)
  }
  await b.node.swarm.connect(a.node.address())
  await expect.poll(() => b.membership.epochs).toEqual([2, 1])
  expect(taken).toEqual([keyRecord(2)])
})

describe('two secrets of one epoch', () => {
  /** A host that has this secret of an epoch, and the one before that all have. */
  async function holder(self: Employee, { epoch, fill }: { epoch: number; fill: number }, isDoubted = false) {
    const key = privateKeys(new Uint8Array(32).fill(fill)).hello
    const record = Uint8Array.of(epoch, fill)
    const taken: Uint8Array[] = []
    const host = await companyHost(self, staff, {
      prepare: membership => {
        membership.secrets = () => [{ epoch, key }, helloSecret(1)]
        membership.swarmKey = () => record
        membership.takeSwarmKey = async bytes => void taken.push(bytes)
        membership.doubtsSecret = () => isDoubted
      }
    })
    return { host, record, taken }
  }

  test('are told each other by both sides, who then decide alike', async () => {
    const a = await holder(boss, { epoch: 2, fill: 8 })
    const b = await holder(ann, { epoch: 2, fill: 9 })
    await b.host.node.swarm.connect(a.host.node.address())
    await expect.poll(() => [a.taken, b.taken]).toEqual([[b.record], [a.record]])
  })

  test('are one where they are the same, and nobody asks for it', async () => {
    const [a, b] = [await holder(boss, { epoch: 2, fill: 8 }), await holder(ann, { epoch: 2, fill: 8 })]
    await b.host.node.swarm.connect(a.host.node.address())
    await rosterAsked(a.host)
    await rosterAsked(b.host)
    expect([a.taken, b.taken]).toEqual([[], []])
  })

  test('are asked for too, of a lower epoch, by who has its own of somebody that may not give one', async () => {
    const [a, b] = [await holder(boss, { epoch: 2, fill: 8 }), await holder(ann, { epoch: 9, fill: 9 }, true)]
    await b.host.node.swarm.connect(a.host.node.address())
    await expect.poll(() => [a.taken, b.taken]).toEqual([[b.record], [a.record]])
  })
})

describe('a member that does not keep to it', () => {
  /** Somebody who is let in as `self` and from then on says what it likes. */
  async function insider(host: CompanyHost, { self = ann, as }: { self?: Employee; as?: Libp2p } = {}) {
    const raw = as ?? (await rawPeer())
    const connection = await raw.dial(multiaddr(host.node.address()), { force: true })
    const member = await RawMember.on(connection, raw, helloSecret(1).key)
    await member.open()
    const certificate = certificateOf({ peer: raw.peerId.toString(), member: self.key, issuer: boss })
    await member.introduce(introductionOf({ certificate }))
    return { raw, connection, accept: async () => await member.accept() }
  }

  async function say(connection: Connection, message: Uint8Array): Promise<MemberResponse | undefined> {
    const io = new FramedStream(await connection.newStream(MEMBER_PROTOCOL))
    try {
      await io.write(message, AbortSignal.timeout(60_000))
      const bytes = await io.read(limits.responseBytes, AbortSignal.timeout(60_000))
      await io.end(AbortSignal.timeout(60_000))
      return bytes === undefined ? undefined : decodeMemberResponse(bytes)
    } catch {
      return undefined
    }
  }

  test.each([
    ['of no known kind', encodeCbor({ type: 'members' })],
    ['that is an answer', encodeMemberResponse({ type: 'swarm-key', record: null })],
    ['larger than any', new Uint8Array(limits.requestBytes + 1)],
    ['without a word', new Uint8Array(0)]
  ])('and sends a request %s is not answered, and struck for it', async (_, message) => {
    const host = await companyHost(boss, staff)
    const { connection, accept } = await insider(host)
    await accept()
    for (let i = 0; i < 8; i++) expect(await say(connection, message)).toBeUndefined()
    await expect.poll(() => connection.status).not.toBe('open')
    expect(host.node.events.of('onCut')).toMatchObject([{ reason: 'malformed-message' }])
  })

  test('is told no more than it may ask in a minute', async () => {
    const host = await companyHost(boss, staff)
    const { connection, accept } = await insider(host)
    await accept()
    const io = new FramedStream(await connection.newStream(MEMBER_PROTOCOL))
    const answers: string[] = []
    const ask = async (request: MemberRequest): Promise<void> => {
      await io.write(encodeMemberRequest(request), AbortSignal.timeout(60_000))
      const bytes = await io.read(limits.responseBytes, AbortSignal.timeout(60_000))
      answers.push(bytes === undefined ? 'end' : decodeMemberResponse(bytes).type)
    }
    for (let i = 0; i < limits.requestsPerPeerPerMinute; i++) await ask({ type: 'certify' })
    expect(new Set(answers)).toEqual(new Set(['certificate']))
    await ask({ type: 'swarm-key' })
    expect(answers.at(-1)).toBe('refused')
    expect(connection.status).toBe('open')
  })

  test('and takes up answers on several connections keeps nobody else waiting', async () => {
    const host = await companyHost(boss, staff)
    // Each request of ann's is answered when the test says so: a stream that nobody reads looks no different.
    const held = Promise.withResolvers<void>()
    let [begun, refused] = [0, 0]
    const issue = host.membership.certify.bind(host.membership)
    host.membership.certify = async (peer, member) => {
      if (member.key === ann.key) {
        begun += 1
        await held.promise
      }
      return await issue(peer, member)
    }
    const raw = await rawPeer()
    const answers: Promise<void>[] = []
    const asking = encodeMemberRequest({ type: 'certify' })
    const lines = Math.ceil((limits.requestsInFlight + 2) / limits.streams)
    for (let line = 0; line < lines; line++) {
      const { connection, accept } = await insider(host, { as: raw })
      await accept()
      for (let n = 0; n < limits.streams; n++) {
        const answer = say(connection, asking).then(response => void (refused += response?.type === 'refused' ? 1 : 0))
        answers.push(answer)
      }
    }
    await expect.poll(() => begun + refused).toBe(lines * limits.streams)
    expect(begun).toBe(limits.requestsInFlightPerPeer)
    const other = await insider(host, { self: bob })
    await other.accept()
    expect(await say(other.connection, asking)).toMatchObject({ type: 'certificate' })
    held.resolve()
    await Promise.all(answers)
    // And gives back what it took.
    const again = await insider(host, { as: raw })
    await again.accept()
    expect(await say(again.connection, asking)).toMatchObject({ type: 'certificate' })
  })

  test('and is none any more gets no answer on a stream that is open', async () => {
    const host = await companyHost(boss, staff)
    const { connection, accept } = await insider(host)
    await accept()
    expect(await say(connection, encodeMemberRequest({ type: 'certify' }))).toMatchObject({ type: 'certificate' })
    // Before anybody has looked again.
    host.membership.staff.delete(ann.key)
    expect(await say(connection, encodeMemberRequest({ type: 'certify' }))).toBeUndefined()
    expect(await say(connection, encodeMemberRequest({ type: 'roster', after: null }))).toBeUndefined()
  })

  test('who may not issue certificates says so', async () => {
    const host = await companyHost(bob, staff)
    const { connection, accept } = await insider(host)
    await accept()
    const answer = await say(connection, encodeMemberRequest({ type: 'certify' }))
    expect(answer).toEqual({ type: 'refused', reason: 'not-an-issuer' })
  })
})
