import type { Connection } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { MemberLine } from '../../node/p2p/member-line.ts'
import type { KnownPeer } from '../../node/p2p/peers.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  MEMBER_PROTOCOL,
  decodeMemberRequest,
  encodeMemberResponse
} from '../../protocol/membership/member-messages.ts'
import type { MemberRequest, MemberResponse } from '../../protocol/membership/member-messages.ts'
import { HostMembership, certificateOf, employee, movedBy, peerNumbered } from '../support/company.ts'
import { dialRaw, rawPeer, stopRawPeers } from '../support/raw-peer.ts'
import { testClock } from '../support/test-clock.ts'

afterEach(stopRawPeers)

const boss = employee('boss', 'owner')
const ann = employee('ann')
const page = Array.from({ length: LIMITS.membership.rosterPage }, (_, i) =>
  certificateOf({ peer: peerNumbered(i), member: ann.key, issuer: boss })
)

/** The first certificate, of another host: nobody has looked at its signature yet. */
function forged(i: number): Uint8Array {
  const bytes = Buffer.from(page[0] ?? [])
  bytes.write(peerNumbered(i), bytes.indexOf(peerNumbered(0)))
  return bytes
}

/** One host that asks, over a real connection, a peer that answers as a test says. */
async function asking(answer: (request: MemberRequest) => MemberResponse | undefined) {
  const [here, there] = [await rawPeer(), await rawPeer()]
  const requests: MemberRequest[] = []
  await there.handle(MEMBER_PROTOCOL, async stream => {
    const io = new FramedStream(stream)
    for (;;) {
      const bytes = await io.read(LIMITS.membership.requestBytes, AbortSignal.timeout(60_000)).catch(() => undefined)
      if (bytes === undefined) break
      const request = decodeMemberRequest(bytes)
      requests.push(request)
      const response = answer(request)
      if (response === undefined) stream.abort(new Error('no answer'))
      else await io.write(encodeMemberResponse(response), AbortSignal.timeout(60_000))
    }
    await stream.close().catch(() => undefined)
  })
  const connection: Connection = await dialRaw(here, there.getMultiaddrs()[0]?.toString() ?? '')
  const id = there.peerId.toString()
  const membership = new HostMembership(here.peerId.toString(), ann, [boss, ann])
  const known: KnownPeer = {
    id,
    hello: { versions: [1], agent: 'raw', registries: [], roles: [] },
    version: 1,
    member: { key: boss.key, role: 'owner', until: Infinity },
    epoch: 1,
    under: membership.secrets()[0]?.key,
    connections: new Set([connection])
  }
  const blamed: string[] = []
  const time = testClock(Date.now())
  const ended = Promise.withResolvers<void>()
  const line = new MemberLine({
    membership,
    clock: movedBy(time),
    log: { debug: () => ended.resolve(), info: () => {}, warn: () => {} },
    peers: {
      all: () => [known],
      get: () => known,
      connection: () => connection,
      blame: (peer, reason) => void blamed.push(`${peer} ${reason}`)
    }
  })
  return { line, id, known, membership, requests, blamed, time, failed: ended.promise }
}

test.each<readonly [string, (request: MemberRequest) => MemberResponse, number]>([
  ['a walk that starts again', () => ({ type: 'roster', certificates: page }), 2],
  ['a roster in no order', () => ({ type: 'roster', certificates: page.toReversed() }), 1],
  ['certificates that are none', () => ({ type: 'roster', certificates: [new Uint8Array(9)] }), 1],
  ['an answer to another question', () => ({ type: 'swarm-key', record: null }), 1]
])('%s is struck', async (_, answer, asked) => {
  const { line, id, requests, blamed, failed } = await asking(answer)
  line.onPeer(id)
  await failed
  await line.stop()
  expect(blamed).toEqual([`${id} malformed-message`])
  expect(requests.length).toBe(asked)
})

test('a record of a secret that cannot be read is struck, and a stream that breaks is not', async () => {
  const { line, id, known, requests, blamed, failed } = await asking(request =>
    request.type === 'swarm-key' ? { type: 'swarm-key', record: new Uint8Array(3) } : undefined
  )
  Object.assign(known, { epoch: 7 })
  line.onPeer(id)
  await failed
  await expect.poll(() => requests.map(({ type }) => type)).toEqual(['swarm-key', 'roster'])
  await line.stop()
  expect(blamed).toEqual([`${id} malformed-message`])
})

test('a walk ends after as many pages as a roster may have', async () => {
  let next = 0
  const { line, id, requests, membership } = await asking(() => {
    const certificates = Array.from({ length: LIMITS.membership.rosterPage }, () => forged((next += 1)))
    return { type: 'roster', certificates }
  })
  membership.takeRoster = async () => {}
  line.onPeer(id)
  await expect.poll(() => requests.length).toBe(LIMITS.membership.rosterPages)
  await line.stop()
  expect(requests.length).toBe(LIMITS.membership.rosterPages)
})

test('a roster is read once in a while, however often a peer comes', async () => {
  const { line, id, known, requests } = await asking(request =>
    request.type === 'roster' ? { type: 'roster', certificates: [] } : { type: 'swarm-key', record: null }
  )
  Object.assign(known, { epoch: 7 })
  // One visit at a time: a question that is asked at each visit says that the visit before is over.
  for (let visits = 1; visits <= 4; visits++) {
    line.onPeer(id)
    await expect.poll(() => requests.filter(({ type }) => type === 'swarm-key').length).toBe(visits)
    line.onPeerGone(id)
  }
  await line.stop()
  expect(requests.map(({ type }) => type)).toEqual(['swarm-key', 'roster', 'swarm-key', 'swarm-key', 'swarm-key'])
})

test('a peer that is busy is asked again sooner, and one that was not after a while', async () => {
  let isBusy = true
  const { line, id, requests, time } = await asking(() =>
    isBusy ? { type: 'refused', reason: 'busy' } : { type: 'roster', certificates: [] }
  )
  line.start()
  line.onPeer(id)
  const { recheckMs, rosterEveryMs } = LIMITS.membership
  await expect.poll(() => requests.length).toBe(1)
  isBusy = false
  await time.advance(recheckMs)
  await expect.poll(() => requests.length).toBe(2)
  await time.advance(rosterEveryMs - recheckMs)
  expect(requests.length).toBe(2)
  await time.advance(recheckMs)
  await expect.poll(() => requests.length).toBe(3)
  await line.stop()
  expect(time.pending()).toBe(0)
})
