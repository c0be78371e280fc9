import type { Connection } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { AnswerReader } from '../../protocol/dag/answer-reader.ts'
import { DAG_PROTOCOL, encodeDagRequest } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagReach } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { TestNode } from './swarm-node.ts'

/** Asks whoever a node is connected to over `/ggen/dag/1` for some blocks, as any peer can; resolves with what each frame is. */
export async function askDag(
  asker: TestNode,
  {
    root,
    wants,
    reach = 'blocks'
  }: { readonly root: ContentId; readonly wants: readonly CID[]; readonly reach?: DagReach }
): Promise<readonly AnswerFrame['type'][]> {
  const [connection] = asker.swarm.libp2p.getConnections()
  if (connection === undefined) throw new Error('nobody is here')
  return await ask(connection, encodeDagRequest({ reach, root, wants }))
}

async function ask(connection: Connection, request: Uint8Array): Promise<readonly AnswerFrame['type'][]> {
  const signal = AbortSignal.timeout(60_000)
  const stream = await connection.newStream(DAG_PROTOCOL, { signal })
  const io = new FramedStream(stream)
  const reader = new AnswerReader(() => LIMITS.content.chunkBytes)
  const frames: AnswerFrame['type'][] = []
  const ended = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      for (const piece of data instanceof Uint8Array ? [data] : data)
        for (const { type } of reader.push(piece)) frames.push(type)
      if (frames.at(-1) === 'end' || frames.at(-1) === 'busy') resolve()
    })
    stream.addEventListener('close', () => reject(new Error('the stream broke off')))
  })
  await io.write(request, signal)
  await ended
  await io.end(signal)
  return frames
}
