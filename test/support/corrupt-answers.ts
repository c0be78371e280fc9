import type { Connection, StreamMessageEvent } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { BlockWriter } from '../../node/p2p/block-writer.ts'
import { DagLane } from '../../node/p2p/dag-lane.ts'
import type { LaneEnd } from '../../node/p2p/dag-lane.ts'
import { Shown } from '../../node/p2p/shown.ts'
import { concatBytes, equalBytes } from '../../protocol/bytes.ts'
import { ANSWER_HEADER_BYTES, decodeDagRequest, encodeAnswerFrame } from '../../protocol/dag/messages.ts'
import type { AnswerFrame } from '../../protocol/dag/messages.ts'
import { DagPlan } from '../../protocol/dag/plan.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/frame.ts'
import { Rng } from '../simulation/rng.ts'
import { honest } from './dag-peer.ts'
import { StreamEnd } from './fake-stream.ts'
import type { Wire } from './fake-stream.ts'
import { DagBlocks, rootOf } from './random-dag.ts'
import type { MadeDag } from './random-dag.ts'

/** Files, and a folder in the folder. */
function madeDag(random: Rng): MadeDag {
  const blocks = new DagBlocks()
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => random.int(256))
  const inner = blocks.folder({ c: blocks.raw(bytes(40)), d: blocks.raw(bytes(20)) })
  const root = blocks.folder({ a: blocks.raw(bytes(30)), b: blocks.raw(bytes(50)), inner })
  return { blocks, root: rootOf(root), size: 140 }
}

/** What is done to an answer, and whether the bytes of a block are other ones for certain: then it is a lie. */
interface Corrupt {
  readonly bytes: Uint8Array
  readonly isLie: boolean
}

type Corruption = (frames: readonly AnswerFrame[], random: Rng) => Corrupt

const encoded = (frames: readonly AnswerFrame[]): Uint8Array => concatBytes(frames.map(encodeAnswerFrame))
const flipped = (bytes: Uint8Array, random: Rng): Uint8Array => {
  const at = random.int(bytes.length)
  return bytes.map((byte, i) => (i === at ? byte ^ (1 << random.int(8)) : byte))
}
const withBlock = (frames: readonly AnswerFrame[], random: Rng, change: (block: Uint8Array) => Uint8Array): Corrupt => {
  const blocks = frames.filter(({ type }) => type === 'block').length
  let at = random.int(blocks)
  const changed = frames.map(frame =>
    frame.type === 'block' && at-- === 0 ? { ...frame, bytes: change(frame.bytes) } : frame
  )
  return { bytes: encoded(changed), isLie: true }
}
const OTHER = Uint8Array.from([1, 2, 3])

const CORRUPTIONS: Readonly<Record<string, Corruption>> = {
  'a bit of a block': (frames, random) => withBlock(frames, random, block => flipped(block, random)),
  'a block cut short': (frames, random) =>
    withBlock(frames, random, block => block.subarray(0, random.int(block.length))),
  'a block of something else': (frames, random) => withBlock(frames, random, () => OTHER),
  'a block twice': (frames, random) => {
    const at = random.int(frames.length - 1)
    return { bytes: encoded([...frames.slice(0, at + 1), ...frames.slice(at)]), isLie: true }
  },
  'two blocks in turn': (frames, random) => {
    const at = random.int(frames.length - 2)
    const [before, [one, other, ...after]] = [frames.slice(0, at), frames.slice(at)]
    const isSame = one?.type !== 'block' || other?.type !== 'block' || equalBytes(one.bytes, other.bytes)
    if (one === undefined || other === undefined || isSame) return { bytes: encoded(frames), isLie: false }
    return { bytes: encoded([...before, other, one, ...after]), isLie: true }
  },
  'a bit of anything': (frames, random) => ({ bytes: flipped(encoded(frames), random), isLie: false }),
  'the end of the stream': (frames, random) => {
    const bytes = encoded(frames)
    return { bytes: bytes.subarray(0, random.int(bytes.length)), isLie: false }
  },
  'anything for a while': (frames, random) => {
    const bytes = encoded(frames)
    const at = ANSWER_HEADER_BYTES + random.int(bytes.length - ANSWER_HEADER_BYTES)
    return { bytes: bytes.map((byte, i) => (i < at || i > at + 8 ? byte : random.int(256))), isLie: false }
  }
}

const WIRE: Wire = {
  carry: (_, { onSent, onThere }) => {
    queueMicrotask(onThere)
    onSent()
  }
}

interface Outcome {
  readonly end: LaneEnd
  readonly kept: readonly { readonly cid: CID; readonly bytes: Uint8Array }[]
}

/** One lane to a peer that answers honestly but for one answer, behind which it says no more. */
async function fetchFrom(
  { blocks, root, size }: MadeDag,
  corrupt: (frames: readonly AnswerFrame[]) => Uint8Array
): Promise<Outcome> {
  const [mine, theirs] = StreamEnd.pair(WIRE, WIRE)
  theirs.addEventListener('message', ({ data }: StreamMessageEvent) => {
    const request = decodeDagRequest(Uint8Array.from(data.subarray(FRAME_HEADER_BYTES)))
    theirs.send(corrupt(honest(blocks, request)))
    void theirs.close()
  })
  const kept: { cid: CID; bytes: Uint8Array }[] = []
  const plan = new DagPlan({ root, size })
  const put = async (cid: CID, bytes: Uint8Array): Promise<void> => void kept.push({ cid, bytes })
  const writer = new BlockWriter(put, { onRoom: () => undefined, onFailed: error => lane.fail(error) })
  const clock = { now: () => 0, after: () => () => undefined }
  const connection = { remotePeer: { toString: () => 'peer' }, newStream: async () => mine } as unknown as Connection
  const lane = new DagLane(connection, {
    plan,
    writer,
    clock,
    local: { has: async () => false, read: async () => undefined, put },
    shown: new Shown(clock),
    throttle: undefined,
    isRacing: false,
    sharing: () => 1,
    onBlock: () => undefined,
    onProgress: () => undefined
  })
  const end = await lane.run()
  await writer.settled()
  return { end, kept }
}

/** What became of a number of corrupted answers, each with a seed of its own. */
export interface CorruptCounts {
  lied: number
  malformed: number
  nobody: number
}

/** Throws at the first that made a fetch keep wrong bytes, or blame the wrong one. */
export async function corruptAnswers(from: number, to: number): Promise<CorruptCounts> {
  const counts = { lied: 0, malformed: 0, nobody: 0 }
  const dags = Array.from({ length: 32 }, (_, i) => madeDag(new Rng(`dag ${i}`)))
  const names = Object.keys(CORRUPTIONS)
  for (let round = from; round < to; round++) {
    const random = new Rng(`corruption ${round}`)
    const dag = dags[random.int(dags.length)] ?? madeDag(random)
    const name = names[round % names.length] ?? ''
    let isLie = false
    const { end, kept } = await fetchFrom(dag, frames => {
      const done = CORRUPTIONS[name]?.(frames, random)
      isLie = done?.isLie === true
      return done?.bytes ?? encoded(frames)
    })
    const what = `round ${round}: ${name}`
    for (const { cid, bytes } of kept) {
      if (!equalBytes(dag.blocks.bytes(cid), bytes)) throw new Error(`${what}: wrong bytes were kept`)
    }
    const lie = end.type === 'failed' ? end.lie : undefined
    if (isLie && lie === undefined) throw new Error(`${what}: nobody was blamed, ${end.type}`)
    if (name === 'the end of the stream' && lie !== undefined) throw new Error(`${what}: a break is nobody's fault`)
    counts[lie === 'lied' ? 'lied' : lie === undefined ? 'nobody' : 'malformed'] += 1
  }
  return counts
}
