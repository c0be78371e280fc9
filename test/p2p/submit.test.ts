import type { Connection, Stream } from '@libp2p/interface'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  SUBMIT_PROTOCOL,
  decodeSubmitAnswer,
  encodeSubmitAnswer,
  encodeSubmitRequest
} from '../../protocol/submit-messages.ts'
import type { SubmitAnswer } from '../../protocol/submit-messages.ts'
import { encodeSubmissionEnvelope, parseSubmission, encodeSubmission } from '../../protocol/submission.ts'
import { errorOf } from '../support/daemon.ts'
import { containing } from '../support/like.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { stranger } from '../support/submission.ts'

let curator: TestRunningNode
let registry: RegistryId

beforeEach(async () => {
  curator = await runningNode()
  registry = await curator.found('curated')
})
afterEach(async () => {
  await stopRawPeers()
  await stopRunningNodes()
})

/** A stranger's program, introduced and ready to say anything. */
async function caller(): Promise<Connection> {
  const connection = await dialRaw(await rawPeer(), curator.address)
  await sayHello(connection, { registries: [registry] })
  return connection
}

/** What is answered to one message; undefined when the stream was broken off. */
async function say(connection: Connection, message: Uint8Array): Promise<SubmitAnswer | undefined> {
  const io = new FramedStream(await connection.newStream(SUBMIT_PROTOCOL))
  try {
    await io.write(message, AbortSignal.timeout(60_000))
    const bytes = await io.read(LIMITS.submit.answerBytes, AbortSignal.timeout(60_000))
    await io.end(AbortSignal.timeout(60_000))
    return bytes === undefined ? undefined : decodeSubmitAnswer(bytes)
  } catch {
    return undefined
  }
}

const submit = (connection: Connection, envelope: Uint8Array) =>
  say(connection, encodeSubmitRequest({ type: 'submit', envelope }))
const waiting = async () => (await curator.call('curateList', {})).map(({ name }) => name)

describe('over real sockets', () => {
  test('a flood of submissions stays bounded, and an honest one gets through', async () => {
    const flooder = await caller()
    const told = await Promise.all(
      Array.from({ length: 60 }, (_, i) => submit(flooder, stranger().asks(registry, `spam-${i}`)))
    )
    expect(told.filter(answer => answer?.type === 'waiting').length).toBeLessThanOrEqual(LIMITS.submit.perPeerPerHour)
    const honest = await runningNode()
    await join(honest, registry, curator)
    expect(await honest.call('submit', { reference: 'novel', owners: [] })).toMatchObject({ state: 'waiting' })
    const names = await waiting()
    expect(names).toContain('ggen/novel')
    expect(names.length).toBeLessThanOrEqual(LIMITS.submit.perPeerPerHour + 1)
  })

  test('a submission with a forged signature is not answered, and costs who brings it', async () => {
    const thief = await caller()
    const { bodyBytes, author } = parseSubmission(stranger().asks(registry, 'novel'))
    const forged = encodeSubmissionEnvelope(bodyBytes, author, new Uint8Array(64).fill(7))
    for (let i = 0; i < 7; i++) expect(await submit(thief, forged)).toBeUndefined()
    expect(thief.status).toBe('open')
    await submit(thief, forged)
    await expect.poll(() => thief.status).not.toBe('open')
    expect(await waiting()).toEqual([])
  })

  test('a submission replayed under another registry is refused', async () => {
    const elsewhere = await runningNode()
    const other = await elsewhere.found('curated')
    const thief = await caller()
    const seen = parseSubmission(stranger().asks(other, 'novel'))
    expect(await submit(thief, seen.bytes)).toEqual({ type: 'refused', reason: 'unknown-registry' })
    const moved = encodeSubmission({ ...seen.body, registry })
    expect(await submit(thief, encodeSubmissionEnvelope(moved, seen.author, seen.signature))).toBeUndefined()
    expect(await waiting()).toEqual([])
  })

  test.each([
    ['larger than any submission', new Uint8Array(LIMITS.submit.requestBytes + 1)],
    ['no dag-cbor', new Uint8Array(100).fill(255)],
    ['empty', new Uint8Array(0)],
    ['of no known kind', encodeSubmitAnswer({ type: 'waiting' })]
  ])('a request that is %s is not answered, and costs who sends it', async (_, message) => {
    const connection = await caller()
    for (let i = 0; i < 8; i++) expect(await say(connection, message)).toBeUndefined()
    await expect.poll(() => connection.status).not.toBe('open')
  })

  test('streams that ask nothing keep nobody out', async () => {
    const idle: Stream[] = []
    for (let i = 0; i < 4; i++) {
      const connection = await caller()
      for (let n = 0; n < LIMITS.streams.submit; n++) idle.push(await connection.newStream(SUBMIT_PROTOCOL))
    }
    expect(idle.length).toBeGreaterThan(LIMITS.submit.inFlight)
    expect(await submit(await caller(), stranger().asks(registry, 'novel'))).toEqual({ type: 'waiting' })
  })

  test('who was not introduced is not heard', async () => {
    const connection = await dialRaw(await rawPeer(), curator.address)
    expect(
      await Promise.race([submit(connection, stranger().asks(registry, 'novel')), closed(connection)])
    ).toBeUndefined()
    expect(await waiting()).toEqual([])
  })
})

describe('a curator that cannot be trusted', () => {
  test('who says nonsense is passed over, and named in the failure', async () => {
    const liar = await rawPeer()
    await liar.handle(SUBMIT_PROTOCOL, async stream => {
      const io = new FramedStream(stream)
      await io.read(LIMITS.submit.requestBytes, AbortSignal.timeout(60_000))
      await io.write(encodeSubmitAnswer({ type: 'denied', reason: '\u001b[2Jnonsense' }), AbortSignal.timeout(60_000))
    })
    const node = await runningNode()
    await join(node, registry, curator)
    await curator.stop()
    const connection = await dialRaw(liar, node.address)
    await sayHello(connection, { registries: [registry], roles: ['curator'] })
    await expect
      .poll(() =>
        node.parts
          .network()
          .peers()
          .some(peer => peer.roles.includes('curator') && peer.connected)
      )
      .toBe(true)
    const error = await errorOf(node.call('submit', { reference: 'novel', owners: [] }))
    expect(error).toMatchObject({ code: 'NO_CURATOR' })
    expect(error.tried).toContainEqual(containing(liar.peerId.toString()))
  })

  test('who says granted and shows no claim is not believed', async () => {
    const liar = await rawPeer()
    await liar.handle(SUBMIT_PROTOCOL, async stream => {
      const io = new FramedStream(stream)
      await io.read(LIMITS.submit.requestBytes, AbortSignal.timeout(60_000))
      await io.write(encodeSubmitAnswer({ type: 'granted', fact: registry as never }), AbortSignal.timeout(60_000))
    })
    const node = await runningNode()
    await join(node, registry, curator)
    await curator.stop()
    const connection = await dialRaw(liar, node.address)
    await sayHello(connection, { registries: [registry], roles: ['curator'] })
    await expect
      .poll(() =>
        node.parts
          .network()
          .peers()
          .some(peer => peer.roles.includes('curator') && peer.connected)
      )
      .toBe(true)
    expect(await node.call('submit', { reference: 'novel', owners: [] })).toMatchObject({
      state: 'granted',
      here: false
    })
  })
})

function closed(connection: Connection): Promise<undefined> {
  return new Promise(resolve => connection.addEventListener('close', () => resolve(undefined), { once: true }))
}
