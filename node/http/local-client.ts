import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { RegistryError, isRegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { CallContext, NodeClient } from '../services/api.ts'
import { fromLocalError } from './local-protocol.ts'
import type { LocalLine } from './local-protocol.ts'

/** Where a running daemon listens: the content of its 0600 `daemon.json`. */
export interface DaemonAddress {
  readonly pid: number
  readonly path: string
  readonly token: string
}

/** Calls a daemon over its local socket. @throws RegistryError DAEMON_UNREACHABLE, or whatever the call threw there */
export function localClient(address: DaemonAddress): NodeClient {
  const call = (method: string, params: unknown, context: Partial<CallContext> = {}): Promise<unknown> =>
    exchange(address, { method, params, context })
  return { call: call as NodeClient['call'] }
}

interface Exchange {
  readonly method: string
  readonly params: unknown
  readonly context: Partial<CallContext>
}

async function exchange(address: DaemonAddress, { method, params, context }: Exchange): Promise<unknown> {
  try {
    const response = await send(address, method, { params, signal: context.signal })
    return await readAnswer(response, context)
  } catch (error) {
    if (isRegistryError(error)) throw error
    context.signal?.throwIfAborted()
    throw new RegistryError('DAEMON_UNREACHABLE', `the node with process id ${address.pid} did not answer`, {
      cause: error,
      tried: [`called ${method} on ${address.path}`],
      next: 'look at its log, or end it and run ggen-node start again'
    })
  }
}

function send(
  { path, token }: DaemonAddress,
  method: string,
  { params, signal }: { params: unknown; signal: AbortSignal | undefined }
): Promise<IncomingMessage> {
  const body = JSON.stringify(params)
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath: path,
      path: `/call/${method}`,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      timeout: LIMITS.localApi.timeoutMs,
      ...(signal === undefined ? {} : { signal })
    })
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
    outgoing.once('timeout', () => outgoing.destroy(new RegistryError('TIMEOUT', 'the local call took too long')))
    outgoing.end(body)
  })
}

async function readAnswer(response: IncomingMessage, { onProgress }: Partial<CallContext>): Promise<unknown> {
  let bytes = 0
  for await (const text of createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })) {
    bytes += text.length
    if (bytes > LIMITS.localApi.responseBytes) throw new RegistryError('LIMIT_EXCEEDED', 'the answer is too large')
    const line = JSON.parse(text) as LocalLine
    if ('progress' in line) onProgress?.(line.progress)
    else if ('error' in line) throw fromLocalError(line.error)
    else return line.result
  }
  throw new RegistryError('DAEMON_UNREACHABLE', 'the node ended in the middle of an answer', {
    next: 'run the command again; nothing that was acknowledged is lost'
  })
}
