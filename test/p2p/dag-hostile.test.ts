import { randomBytes } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { identity } from 'multiformats/hashes/identity'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../node/p2p/components.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { AnswerReader } from '../../protocol/dag/answer-reader.ts'
import { DAG_PROTOCOL, encodeAnswerFrame, encodeDagRequest } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagRequest } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fetchContent, honest, localOf, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import type { Said } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]

function files(count = 20, bytes = 5_000): MadeDag {
  const blocks = new DagBlocks()
  const contents = Array.from({ length: count }, () => randomBytes(bytes))
  const root = blocks.folder(Object.fromEntries(contents.map((content, i) => [`f${i}`, blocks.raw(content)])))
  return { blocks, root: rootOf(root), size: count * bytes }
}

const isBlock = (frame: AnswerFrame): boolean => frame.type === 'block'
const [STRANGE, OTHER] = [randomBytes(5_000), files()]

/** What a liar makes of an honest answer. */
const LIES: readonly [what: string, lie: (frames: readonly AnswerFrame[]) => readonly Said[], reason: string][] = [
  ['wrong bytes', frames => frames.map(f => (isBlock(f) ? { type: 'block', bytes: STRANGE } : f)), 'lied'],
  ['a block twice', frames => frames.flatMap(frame => (isBlock(frame) ? [frame, frame] : [frame])), 'lied'],
  [
    'a valid block of another DAG',
    ([, ...rest]) => [{ type: 'block', bytes: OTHER.blocks.bytes(CID.parse(OTHER.root)) }, ...rest],
    'lied'
  ],
  ['blocks in another order', frames => frames.toReversed(), 'malformed-message'],
  [
    'data without end',
    frames => {
      const nothing = frames.map((frame): AnswerFrame => (isBlock(frame) ? { type: 'missing' } : frame))
      const more = Array.from({ length: 200 }, () => ({ type: 'block', bytes: STRANGE }) as const)
      return [concatBytes([...nothing, ...more].map(encodeAnswerFrame))]
    },
    'malformed-message'
  ],
  ['an end before the last block', () => [{ type: 'end' }], 'malformed-message'],
  ['a length of 2^31', () => [Uint8Array.of(0x80, 0, 0, 0)], 'malformed-message'],
  ['a block of 16 MiB', () => [Uint8Array.of(0, 0xff, 0xff, 0xff)], 'malformed-message'],
  ['garbage', () => [randomBytes(5_000).fill(7, 0, 1)], 'malformed-message'],
  [
    'more missing blocks than it was asked for',
    f => [...f, ...f].map((): Said => ({ type: 'missing' })),
    'malformed-message'
  ]
]

describe('a peer that sends', () => {
  test.each(LIES)('%s is struck for it and cut, and the bytes come from an honest one', async (_, lie, reason) => {
    const me = await memoryNode({ registries })
    const dag = files()
    const liar = await madeUpPeer(me, registry, request => lie(honest(dag.blocks, request)))
    const local = localOf(me)
    for (let strikes = 0; me.events.of('onCut').length === 0; strikes++) {
      expect(strikes).toBeLessThan(9)
      await fetchContent(me, { ...dag, registry }, { local })
    }
    expect(me.events.of('onCut')).toMatchObject([{ peer: liar.peer, reason }])
    // Nothing but blocks of this content was kept.
    for (const cid of local.puts) expect(dag.blocks.map.has(cid.toString())).toBe(true)
    const good = await memoryNode({ registries })
    await store(good, dag.blocks)
    await me.swarm.connect(good.address())
    await fetchContent(me, { ...dag, registry }, { local })
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
    expect(me.events.of('onCut')).toHaveLength(1)
  })

  test('lies in the middle costs one fetch no more than a block of it', async () => {
    // Nobody is found to be slow, however busy the machine is: what is asked of two would come twice.
    const me = await memoryNode({ registries, clock: lookingClock().clock, config: { tuning } })
    const good = await memoryNode({ registries })
    const dag = files(40, 50_000)
    await store(good, dag.blocks)
    const liar = await madeUpPeer(me, registry, (request, n) =>
      n === 1
        ? honest(dag.blocks, request)
        : [...honest(dag.blocks, request).slice(0, 5), { type: 'block', bytes: STRANGE }]
    )
    await me.swarm.connect(good.address())
    const { stored } = await fetchContent(me, { ...dag, registry })
    expect(stored).toHaveLength(dag.blocks.map.size)
    expect(me.events.of('onCut')).toMatchObject([{ peer: liar.peer, reason: 'lied' }])
    const total = [...dag.blocks.map.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(me.swarm.traffic().bytesIn).toBeLessThan(total + 100_000)
  })
})

const LOOK_MS = LIMITS.dag.hedgeLeastMs
const tuning = { hedgeMs: LOOK_MS }

/** Time as it is, but for the looks at how fast a peer is: those come when they are called. */
function lookingClock(): { readonly clock: Clock; readonly look: () => void } {
  const looks = new Set<() => void>()
  const clock: Clock = {
    now: () => Date.now(),
    after: (ms, task) => {
      if (ms !== LOOK_MS) return realClock.after(ms, task)
      looks.add(task)
      return () => looks.delete(task)
    }
  }
  const look = (): void => {
    const due = [...looks]
    looks.clear()
    for (const task of due) task()
  }
  return { clock, look }
}

describe('a slow peer', () => {
  test('of one byte a second is passed over after a look, and nobody is struck', async () => {
    const { clock, look } = lookingClock()
    const me = await memoryNode({ registries, clock, config: { tuning } })
    const dag = files(40, 50_000)
    const slow = await madeUpPeer(me, registry, () => [Uint8Array.of(0), 'silence'])
    const good = await memoryNode({ registries })
    await store(good, dag.blocks)
    await me.swarm.connect(good.address())
    const fetch = fetchContent(me, { ...dag, registry })
    await expect.poll(() => slow.asked.length).toBe(1)
    look()
    expect((await fetch).stored).toHaveLength(dag.blocks.map.size)
    expect(me.events.of('onCut')).toEqual([])
  })

  test('alone is left when its time is up', async () => {
    const { clock, look } = lookingClock()
    const me = await memoryNode({ registries, clock, config: { tuning } })
    const dag = files()
    const slow = await madeUpPeer(me, registry, (request, n) =>
      n === 1 ? honest(dag.blocks, request) : [Uint8Array.of(0), 'silence']
    )
    let isOver = false
    const fetch = fetchContent(me, { ...dag, registry }).finally(() => (isOver = true))
    await expect.poll(() => slow.asked.length).toBe(2)
    const looks = LIMITS.dag.windowMs / LOOK_MS
    for (let n = 0; n < looks - 1; n++) look()
    await Promise.resolve()
    expect(isOver).toBe(false)
    look()
    expect((await fetch).stored.map(String)).toEqual([dag.root])
    expect(me.events.of('onCut')).toEqual([])
  })

  test('that answers nothing at all, alone, is waited for three seconds', async () => {
    const { clock, look } = lookingClock()
    const me = await memoryNode({ registries, clock, config: { tuning } })
    const dag = files()
    const silent = await madeUpPeer(me, registry, () => [Uint8Array.of(0), 'silence'])
    const fetch = fetchContent(me, { ...dag, registry })
    await expect.poll(() => silent.asked.length).toBe(1)
    for (let n = 0; n < LIMITS.dag.giveUpMs / LOOK_MS; n++) look()
    expect(await fetch).toMatchObject({ stored: [], bytes: 0 })
    expect(me.events.of('onCut')).toEqual([])
  })
})

describe('content that could not have been published', () => {
  const leaf = (blocks: DagBlocks): CID => blocks.raw(randomBytes(10))
  const hashed = (code: number): CID => CID.createV1(0x55, createDigest(code, randomBytes(32)))
  const deep = (blocks: DagBlocks): CID => {
    let root = blocks.folder({ a: leaf(blocks) })
    for (let depth = 0; depth < 10_000; depth++) root = blocks.folder({ a: root })
    return root
  }
  test.each<[string, (blocks: DagBlocks) => CID, string]>([
    ['a DAG 10,000 deep', deep, 'LIMIT_EXCEEDED'],
    [
      'a link by an identity hash',
      b => b.folder({ a: CID.createV1(0x55, identity.digest(Uint8Array.of(1))) }),
      'MALFORMED'
    ],
    ['a link by an unknown hash', b => b.folder({ a: hashed(0x13) }), 'MALFORMED'],
    ['files of more than it declares', b => b.file(randomBytes(3 * 2 ** 20), 2 ** 20), 'LIMIT_EXCEEDED']
  ])('is refused, and nobody is struck for it: %s', async (_, make, code) => {
    const me = await memoryNode({ registries })
    const blocks = new DagBlocks()
    const root = rootOf(make(blocks))
    const content = { registry, root, size: 2 * 2 ** 20 }
    // As a whole, and node by node.
    for (const size of [content.size, 1_000]) {
      const server = await madeUpPeer(me, registry, request => lazily(blocks, request))
      await expect(fetchContent(me, { ...content, size })).rejects.toMatchObject({ code })
      await server.host.stop()
      await me.events.next('onPeerGone', size === 1_000 ? 1 : 0)
    }
    expect(me.events.of('onCut')).toEqual([])
  })

  /** A sender that does not care what a package may be. */
  function lazily(blocks: DagBlocks, { reach, wants }: DagRequest): readonly Said[] {
    const downwards = [...blocks.map.values()].map(({ cid }) => cid).toReversed()
    const first = downwards.findIndex(cid => cid.equals(wants[0]))
    const all = reach === 'blocks' ? wants : downwards.slice(first, first + 2 * LIMITS.content.depth)
    return [...all.map(cid => ({ type: 'block', bytes: blocks.bytes(cid) }) as const), { type: 'end' }]
  }
})

describe('a node that is asked', () => {
  async function stranger(server: TestNode) {
    const connection = await dialRaw(await rawPeer(), server.address())
    await sayHello(connection)
    return connection
  }

  async function frames(io: FramedStream, until: AnswerFrame['type']): Promise<readonly AnswerFrame[]> {
    const reader = new AnswerReader(() => LIMITS.content.chunkBytes)
    const all: AnswerFrame[] = []
    for (;;) {
      const chunk = await io.chunk(AbortSignal.timeout(60_000))
      if (chunk === undefined) return all
      all.push(...reader.push(chunk))
      if (all.at(-1)?.type === until) return all
    }
  }

  async function ask(io: FramedStream, request: DagRequest, until: AnswerFrame['type'] = 'end') {
    await io.write(encodeDagRequest(request), AbortSignal.timeout(60_000))
    return await frames(io, until)
  }

  test('with a length of 2^31 breaks the stream off, and nothing is allocated', async () => {
    const connection = await stranger(await memoryNode({ registries }))
    const stream = await connection.newStream(DAG_PROTOCOL)
    const reset = new Promise(resolve => stream.addEventListener('close', resolve, { once: true }))
    stream.send(Uint8Array.of(0x80, 0, 0, 0))
    await reset
    expect(stream.status).toBe('reset')
  })

  test('for two roots on one stream, or in another shape, breaks it off and strikes the asker', async () => {
    const server = await memoryNode({ registries })
    const [one, two] = [files(), files()]
    await store(server, one.blocks)
    const connection = await stranger(server)
    for (let strikes = 0; server.events.of('onCut').length === 0; strikes++) {
      expect(strikes).toBeLessThan(9)
      const io = new FramedStream(await connection.newStream(DAG_PROTOCOL))
      const requestOf = ({ root }: MadeDag): DagRequest => ({ reach: 'blocks', root, wants: [CID.parse(root)] })
      expect(await ask(io, requestOf(one))).toMatchObject([{ type: 'block' }, { type: 'end' }])
      expect(await ask(io, requestOf(two)).catch(() => [])).toEqual([])
    }
    expect(server.events.of('onCut')).toMatchObject([{ reason: 'malformed-message' }])
  })

  test('a thousand times at once by one peer serves others all the same', async () => {
    const server = await memoryNode({ registries })
    const dag = files()
    await store(server, dag.blocks)
    const flood = await stranger(server)
    const request: DagRequest = { reach: 'all', root: dag.root, wants: [CID.parse(dag.root)] }
    const opened = await Promise.allSettled(
      Array.from({ length: 1_000 }, async () => {
        const io = new FramedStream(await flood.newStream(DAG_PROTOCOL))
        return (await ask(io, request)).at(-1)?.type
      })
    )
    const answers = opened.filter(({ status }) => status === 'fulfilled')
    expect(answers.length).toBeLessThan(1_000)
    const me = await memoryNode({ registries })
    await me.swarm.connect(server.address())
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
  })

  test('by more than three for one root says that it is busy, who got it, and who is getting it', async () => {
    const server = await memoryNode({ registries })
    const dag = files(3, 2 ** 20)
    await store(server, dag.blocks)
    const owner = await memoryNode({ registries })
    await owner.swarm.connect(server.address())
    await fetchContent(owner, { ...dag, registry })
    const request: DagRequest = { reach: 'blocks', root: dag.root, wants: [CID.parse(dag.root)] }
    const held: FramedStream[] = []
    const receiving: { readonly id: string; readonly addresses: readonly string[] }[] = []
    for (let n = 0; n < LIMITS.dag.uploadsPerRoot; n++) {
      const peer = await rawPeer()
      const connection = await dialRaw(peer, server.address())
      await sayHello(connection)
      const io = new FramedStream(await connection.newStream(DAG_PROTOCOL))
      await ask(io, request)
      held.push(io)
      // It listens nowhere.
      receiving.push({ id: peer.peerId.toString(), addresses: [] })
    }
    const late = new FramedStream(await (await stranger(server)).newStream(DAG_PROTOCOL))
    const [answer] = await ask(late, request, 'busy')
    const got = { id: owner.swarm.peerId, addresses: [expect.stringContaining('/tcp/') as string] }
    if (answer?.type !== 'busy') throw new Error('it is not busy')
    expect(answer.peers[0]).toEqual(got)
    expect(new Set(answer.peers.slice(1))).toEqual(new Set(receiving))
    // Who fetches goes where he is told to go, and comes back to who had no room.
    const me = await memoryNode({ registries })
    await me.swarm.connect(server.address())
    const fetch = fetchContent(me, { ...dag, registry })
    for (const io of held) await io.end(AbortSignal.timeout(60_000))
    expect((await fetch).stored).toHaveLength(dag.blocks.map.size)
  })

  test('whose asker does not read lets go of it', async () => {
    const pieces: (() => void)[] = []
    const clock: Clock = {
      now: () => Date.now(),
      after: (ms, task) => {
        // The time for a piece to be taken.
        if (ms <= LIMITS.dag.idleMs || ms === LIMITS.connections.redialMs) return realClock.after(ms, task)
        pieces.push(task)
        return () => undefined
      }
    }
    const server = await memoryNode({ registries, clock })
    const dag = files(12, 2 ** 20)
    await store(server, dag.blocks)
    const connection = await stranger(server)
    const stream = await connection.newStream(DAG_PROTOCOL)
    stream.pause()
    const closed = new Promise(resolve => stream.addEventListener('close', resolve, { once: true }))
    const wants = [...dag.blocks.map.values()].map(({ cid }) => cid)
    await new FramedStream(stream).write(
      encodeDagRequest({ reach: 'blocks', root: dag.root, wants }),
      AbortSignal.timeout(60_000)
    )
    const before = pieces.length
    await expect.poll(() => pieces.length).toBeGreaterThan(before)
    for (const over of pieces.splice(0)) over()
    await closed
    expect(stream.status).toBe('reset')
  })
})

test('what is said of who has no room is bounded', () => {
  const { peers, peerChars, addressesPerPeer, addressChars, busyBytes } = LIMITS.dag
  const most = {
    id: 'x'.repeat(peerChars),
    addresses: Array.from({ length: addressesPerPeer }, () => 'a'.repeat(addressChars))
  }
  const frame = encodeAnswerFrame({ type: 'busy', peers: Array.from({ length: peers }, () => most) })
  expect(frame.length).toBeLessThan(busyBytes)
})
