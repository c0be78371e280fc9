import type { Connection } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { fetchDag } from '../../node/p2p/dag-fetch.ts'
import { Keepers } from '../../node/p2p/dag-keepers.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { Shown } from '../../node/p2p/shown.ts'
import { tuningOf } from '../../node/p2p/tuning.ts'
import { decodeDagRequest, encodeAnswerFrame } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagRequest } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RAW } from '../../protocol/unixfs-node.ts'
import { honest } from '../support/dag-peer.ts'
import { StreamEnd } from '../support/fake-stream.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const MiB = 2 ** 20
const { lonelyMs, lonelyMostMs, bytesPerSecond } = LIMITS.dag
const silent = (): undefined => undefined

/** Leaves that differ, and cost nothing to make. */
function file(bytes: number): MadeDag {
  const content = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += MiB) content[at] = 1 + at / MiB
  const blocks = new DagBlocks()
  return { root: rootOf(blocks.folder({ 'big.bin': blocks.file(content, MiB) })), blocks, size: bytes }
}

interface Part {
  /** So much of what it says goes out at a time, each so long after the one before. */
  readonly pieceBytes: number
  readonly everyMs: number
  readonly answer: (request: DagRequest) => readonly AnswerFrame[]
}

/** One asker, and peers that play their parts; time is made up, and the asker is a node's. */
class Cast {
  readonly time = new VirtualTime()
  /** Who was asked for which leaves, in order. */
  readonly asked: { readonly peer: string; readonly at: number; readonly leaves: readonly string[] }[] = []
  readonly #dag: MadeDag
  readonly #parts: Readonly<Record<string, Part>>

  constructor(dag: MadeDag, parts: Readonly<Record<string, Part>>) {
    this.#dag = dag
    this.#parts = parts
  }

  /** @param until when it is enough, whether it is all here or not */
  async fetch(until: () => boolean = () => false): Promise<void> {
    const here = new Map<string, Uint8Array>()
    const abort = new AbortController()
    const components = {
      peers: { connection: (peer: string) => this.#connection(peer), blame: silent },
      clock: this.time,
      log: { debug: silent, info: silent, warn: silent },
      tuning: tuningOf(),
      shown: new Shown(this.time),
      throttle: undefined,
      random: () => 0,
      further: { find: async () => [], again: async () => false, reach: async () => undefined }
    }
    let isOver = false
    const fetch = fetchDag(components, this.#dag, {
      local: {
        has: async (cid: CID) => here.has(cid.toString()),
        read: async (cid: CID) => here.get(cid.toString()),
        put: async (cid: CID, bytes: Uint8Array) => void here.set(cid.toString(), bytes)
      },
      signal: abort.signal,
      candidates: () => Object.keys(this.#parts),
      isHopeful: () => true
    }).finally(() => (isOver = true))
    fetch.catch(silent)
    await this.time.runUntil(() => isOver || until(), 600_000)
    abort.abort(new Error('that is enough'))
    await fetch.catch(silent)
  }

  #connection(peer: string): Connection | undefined {
    const part = this.#parts[peer]
    if (part === undefined) return undefined
    const newStream = async (): Promise<unknown> => {
      const wire = {
        carry: (_: number, { onSent, onThere }: { onSent: () => void; onThere: () => void }) => {
          this.time.after(0, onSent)
          this.time.after(1, onThere)
        }
      }
      const [mine, theirs] = StreamEnd.pair(wire, wire)
      void this.#play(peer, part, new FramedStream(theirs)).catch(silent)
      return mine
    }
    return { remotePeer: { toString: () => peer }, status: 'open', newStream } as unknown as Connection
  }

  async #play(peer: string, { pieceBytes, everyMs, answer }: Part, io: FramedStream): Promise<void> {
    const { signal } = new AbortController()
    for (;;) {
      const bytes = await io.read(LIMITS.dag.requestBytes, signal)
      if (bytes === undefined) break
      const request = decodeDagRequest(bytes)
      const leaves = request.wants.filter(({ code }) => code === RAW).map(String)
      this.asked.push({ peer, at: this.time.now(), leaves })
      const frames = answer(request)
      const said = Buffer.concat(frames.map(encodeAnswerFrame))
      for (let at = 0; at < said.length; at += pieceBytes) {
        if (at > 0) await new Promise<void>(resolve => void this.time.after(everyMs, resolve))
        await io.writeRaw(said.subarray(at, at + pieceBytes), signal)
      }
      if (frames.some(({ type }) => type === 'busy')) break
    }
    await io.end(signal)
  }
}

/** Has it all, and sends everybody on to those that it names. */
function source({ blocks }: MadeDag, names: readonly string[]): Part {
  return {
    pieceBytes: Infinity,
    everyMs: 0,
    answer: request => {
      const said = honest(blocks, request)
      if (!request.wants.some(({ code }) => code === RAW)) return said
      const kept = said.flatMap((frame): AnswerFrame[] => (frame.type === 'block' ? [{ type: 'elsewhere' }] : []))
      return [...kept, { type: 'busy', peers: names.map(id => ({ id, addresses: [] })) }]
    }
  }
}

const sender = ({ blocks }: MadeDag, pieceBytes: number, everyMs: number): Part => ({
  pieceBytes,
  everyMs,
  answer: request => honest(blocks, request)
})

describe('in a crowd', () => {
  test('what somebody slow is sending is asked of nobody else while there is other work', async () => {
    const dag = file(24 * MiB)
    const cast = new Cast(dag, {
      source: source(dag, ['slow', 'quick']),
      slow: sender(dag, bytesPerSecond / 4, 1_000),
      quick: sender(dag, MiB, 250)
    })
    await cast.fetch()
    const leavesOf = (peer: string): string[] => cast.asked.flatMap(one => (one.peer === peer ? one.leaves : []))
    const slow = new Set(leavesOf('slow'))
    const quick = leavesOf('quick')
    expect(slow.size).toBeGreaterThan(0)
    // Nothing was asked twice of the quick one, all came of it, and what the slow one had begun came last.
    expect(new Set(quick).size).toBe(24)
    expect(quick.slice(-slow.size).every(leaf => slow.has(leaf))).toBe(true)
  })

  test('who is sent bytes as fast as they must come does not go back to the source, until a block has to be there', async () => {
    const dag = file(8 * MiB)
    const cast = new Cast(dag, {
      source: source(dag, ['steady']),
      // Fast enough not to be left. A whole block takes longer than anybody waits for one.
      steady: sender(dag, bytesPerSecond + 4_096, 1_000)
    })
    // It is asked for each leaf once, and refers to the others. Going back is to ask for one again.
    const again = (): number | undefined => {
      const before = new Set<string>()
      for (const { peer, at, leaves } of cast.asked) {
        if (peer !== 'source') continue
        if (leaves.some(leaf => before.has(leaf))) return at
        for (const leaf of leaves) before.add(leaf)
      }
      return undefined
    }
    await cast.fetch(() => again() !== undefined)
    expect(again()).toBeGreaterThanOrEqual(lonelyMostMs)
    expect(again()).toBeLessThan(lonelyMostMs + 2 * LIMITS.dag.busyMostMs)
  })
})

describe('who keeps back what others have', () => {
  const keepers = (): { time: VirtualTime; made: Keepers; insisted: number[]; at: (ms: number) => Promise<void> } => {
    const time = new VirtualTime()
    const insisted: number[] = []
    const made = new Keepers({ insist: (_, most) => void insisted.push(most) }, time)
    const at = async (ms: number): Promise<void> => {
      time.after(ms - time.now(), silent)
      await time.runUntil(() => time.now() >= ms, ms)
    }
    return { time, made, insisted, at }
  }

  test('is asked for a little when nothing has come for long, then for more', async () => {
    const { made, insisted, at } = keepers()
    await at(lonelyMs - 1)
    made.onDue('a', false)
    expect(insisted).toEqual([])
    await at(lonelyMs)
    for (let n = 0; n < 3; n++) made.onDue('a', false)
    expect(insisted).toEqual([1, 2, 4])
    made.brought('b')
    made.onDue('a', false)
    expect(insisted).toEqual([1, 2, 4])
  })

  test('is not asked while bytes are on their way, but for as long as a block may take', async () => {
    const { made, insisted, at } = keepers()
    for (let ms = 1_000; ms < lonelyMostMs; ms += 1_000) {
      await at(ms)
      made.fed()
      made.onDue('a', false)
    }
    expect(insisted).toEqual([])
    await at(lonelyMostMs)
    made.fed()
    made.onDue('a', false)
    expect(insisted).toEqual([1])
  })
})
