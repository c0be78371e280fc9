import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { DagFetched } from '../../node/p2p/dag-report.ts'
import type { LocalStore } from '../../node/p2p/dag-lane.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { DAG_PROTOCOL, decodeDagRequest, encodeAnswerFrame } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagRequest } from '../../protocol/dag/messages.ts'
import { BlockOrder } from '../../protocol/dag/order.ts'
import type { PlannedContent } from '../../protocol/dag/plan.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import type { DagBlocks } from './random-dag.ts'
import { dialRaw, rawPeer, sayHello } from './raw-peer.ts'
import { testNode } from './swarm-node.ts'
import type { TestNode, TestNodeOptions } from './swarm-node.ts'

/** A node that keeps its blocks in memory, checked as on a disk. */
export async function memoryNode(options: TestNodeOptions = {}): Promise<TestNode> {
  return await testNode({ wrapBlocks: () => memoryBlocks(), ...options })
}

/** The blocks of a node as a fetch sees them. */
export function localOf({ blocks }: TestNode): LocalStore & { readonly puts: CID[] } {
  const puts: CID[] = []
  const store = blocks as unknown as VerifiedBlocks
  return {
    puts,
    has: async cid => await store.has(cid),
    put: async (cid, bytes) => {
      puts.push(cid)
      await store.put(cid, bytes)
    },
    read: async cid => await store.read(cid)
  }
}

export async function store(node: TestNode, { map }: DagBlocks): Promise<void> {
  for (const { cid, bytes } of map.values()) await node.blocks.put(cid, bytes)
}

/** One fetch of its own, from beginning to end. */
export async function fetchContent(
  node: TestNode,
  content: PlannedContent & { readonly registry: RegistryId },
  { local = localOf(node), signal = AbortSignal.timeout(60_000) } = {}
): Promise<DagFetched> {
  const session = node.swarm.fetch(content.registry)
  try {
    return await session.content(content, local, { signal })
  } finally {
    session.close()
  }
}

/** The frames that an honest peer answers with. */
export function honest(blocks: DagBlocks, request: DagRequest): AnswerFrame[] {
  const order = new BlockOrder(request)
  const frames: AnswerFrame[] = []
  for (let next = order.next; next !== undefined; next = order.next) {
    const bytes = blocks.map.get(next.toString())?.bytes
    frames.push(bytes === undefined ? { type: 'missing' } : { type: 'block', bytes })
    if (bytes === undefined) order.miss()
    else order.take(bytes)
  }
  return [...frames, { type: 'end' }]
}

/** What a made-up peer says: frames, and bytes as they are. Nothing more is said after `silence`. */
export type Said = AnswerFrame | Uint8Array | 'silence'

/** A peer that has introduced itself and answers as it likes; `asked` is what it was asked for. */
export async function madeUpPeer(
  victim: TestNode,
  registry: RegistryId,
  answer: (request: DagRequest, asked: number) => readonly Said[]
): Promise<{ readonly host: Libp2p; readonly peer: string; readonly asked: DagRequest[] }> {
  const host = await rawPeer()
  const asked: DagRequest[] = []
  const serve = async (io: FramedStream): Promise<void> => {
    const { signal } = new AbortController()
    for (;;) {
      const bytes = await io.read(LIMITS.dag.requestBytes, signal)
      if (bytes === undefined) break
      const request = decodeDagRequest(bytes)
      asked.push(request)
      for (const said of answer(request, asked.length)) {
        if (said === 'silence') return
        await io.writeRaw(said instanceof Uint8Array ? said : encodeAnswerFrame(said), signal)
      }
    }
    await io.end(signal)
  }
  await host.handle(DAG_PROTOCOL, stream => void serve(new FramedStream(stream)).catch(() => undefined))
  const peer = host.peerId.toString()
  await sayHello(await dialRaw(host, victim.address()), { registries: [registry] })
  for (let n = 0; (await victim.events.next('onPeer', n)) !== peer; n++);
  return { host, peer, asked }
}
