import { DEFAULT_CONFIG } from '../../node/config.ts'
import { createNode } from '../../node/create-node.ts'
import { dispatch } from '../../node/daemon.ts'
import { takeHome } from '../../node/home.ts'
import type { NodeParts } from '../../node/parts.ts'
import { openLog } from '../../node/runtime/log.ts'
import type { ApiMethods, Method } from '../../node/services/api.ts'
import { tempDir } from './temp-dir.ts'

/** A node without a network: a file is all that it ever gets. */
export interface LocalNode {
  readonly parts: NodeParts
  readonly home: string
  call<M extends Method>(method: M, params: ApiMethods[M]['params']): Promise<ApiMethods[M]['result']>
}

const stops: (() => Promise<void>)[] = []

export async function localNode(): Promise<LocalNode> {
  const dir = await tempDir('home')
  const home = await takeHome(dir)
  const log = await openLog({ level: 'silent' })
  const node = await createNode({ home, config: DEFAULT_CONFIG, version: '0.0.0-test', network: false, log })
  stops.push(async () => {
    await node.stop()
    await home.close()
  })
  const call = dispatch(node.api)
  const context = { signal: new AbortController().signal, onProgress: () => {} }
  return { parts: node.parts, home: dir, call: (method, params) => call(method, params, context) as never }
}

/** To be called when all tests of a file are over. */
export async function stopLocalNodes(): Promise<void> {
  for (const stop of stops.splice(0)) await stop()
}
