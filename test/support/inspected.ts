import { readdir } from 'node:fs/promises'
import { freePort } from './free-port.ts'
import { startDaemon } from './daemon.ts'
import type { Daemon, DaemonOptions } from './daemon.ts'

/** What a process takes. */
export interface Taken {
  /** What is left of the heap when all garbage is collected, in bytes. */
  readonly heap: number
  readonly files: number
}

export interface InspectedDaemon extends Daemon {
  taken(): Promise<Taken>
}

interface Reply {
  readonly id?: number
  readonly result?: { readonly usedSize?: number }
  readonly error?: { readonly message: string }
}

/** A daemon as users run it, asked over the debugger's protocol: nothing of ours counts what it takes. Linux only. */
export async function startInspected(options: DaemonOptions): Promise<InspectedDaemon> {
  const port = await freePort()
  const env = { ...options.env, NODE_OPTIONS: `--inspect=127.0.0.1:${port}` }
  const daemon = await startDaemon({ ...options, env })
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    webSocketDebuggerUrl: string
  }[]
  const url = target?.webSocketDebuggerUrl ?? ''
  return {
    ...daemon,
    taken: async () => ({
      heap: await heapOf(url),
      files: (await readdir(`/proc/${daemon.pid}/fd`)).length
    })
  }
}

/** A connection for each look: an open one would keep what it was told of. */
async function heapOf(url: string): Promise<number> {
  const socket = new WebSocket(url)
  const waiting = new Map<number, (reply: Reply) => void>()
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>()
  const { promise: opened, resolve: onOpen, reject: onError } = Promise.withResolvers<void>()
  socket.addEventListener('open', () => onOpen())
  socket.addEventListener('error', () => onError(new Error(`nobody listens at ${url}`)))
  socket.addEventListener('close', () => onClosed())
  socket.addEventListener('message', ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply)
  })
  await opened
  const ask = async (id: number, method: string): Promise<Reply> => {
    const { promise, resolve } = Promise.withResolvers<Reply>()
    waiting.set(id, resolve)
    socket.send(JSON.stringify({ id, method }))
    const reply = await promise
    if (reply.error !== undefined) throw new Error(`${method}: ${reply.error.message}`)
    return reply
  }
  try {
    // What finalisers let go of is garbage the second time.
    for (const id of [1, 2]) await ask(id, 'HeapProfiler.collectGarbage')
    const { result } = await ask(3, 'Runtime.getHeapUsage')
    if (result?.usedSize === undefined) throw new Error('the debugger does not say how large the heap is')
    return result.usedSize
  } finally {
    socket.close()
    await closed
  }
}
