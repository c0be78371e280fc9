import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CID } from 'multiformats/cid'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchContent } from '../../node/content-fetch.ts'
import type { RemoteBlocks } from '../../node/content-fetch.ts'
import { withGateways } from '../../node/gateway-race.ts'
import { Gateways } from '../../node/gateway-source.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import type { Clock } from '../../node/runtime/clock.ts'
import { Trail } from '../../node/services/trail.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { contentCarHeader, contentCarPrefix } from '../../protocol/content-car.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { MemoryBlocks } from '../content/support.ts'

type PeerSession = ReturnType<RemoteBlocks['open']>

const stops: (() => void)[] = []
let blocks: MemoryBlocks
let root: CID
let leaves: readonly CID[]

beforeEach(() => {
  blocks = new MemoryBlocks()
  const files = Array.from({ length: 10 }, (_, n) => Buffer.alloc(50_000, n + 1))
  leaves = files.map(bytes => blocks.raw(bytes))
  root = blocks.directory(leaves.map((leaf, n) => [`f${n}`, leaf, 50_000] as const))
})

afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

const bytesOf = (cid: CID): Uint8Array => blocks.map.get(cid.toString()) ?? new Uint8Array()
const sectionOf = (cid: CID): Uint8Array => concatBytes([contentCarPrefix(cid, bytesOf(cid).length), bytesOf(cid)])

/** A gateway; each archive that is asked of it is answered as is said, and it tells when one was given up. */
async function gateway(answer: (response: ServerResponse, nth: number) => void) {
  const seen = { archives: 0, sent: 0 }
  const closed = Promise.withResolvers<void>()
  const server = createServer(({ url = '' }, response) => {
    response.on('error', () => undefined).on('close', () => closed.resolve())
    if (!url.includes('format=car')) return void response.writeHead(404).end()
    seen.archives += 1
    response.writeHead(200, { 'content-type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n' })
    answer(response, seen.archives)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, closed: closed.promise }
}

/** What peers do, and when gateways are due: no time passes but then. */
function fetching(url: string, peers: Pick<PeerSession, 'content' | 'block'>) {
  const due: (() => void)[] = []
  const clock: Clock = {
    ...systemClock(() => undefined),
    now: () => Date.now(),
    after: (ms, task, signal) => {
      if (ms !== LIMITS.gatewaySource.hedgeMs) return systemClock(() => undefined).after(ms, task, signal)
      due.push(() => (signal?.aborted === true ? undefined : void task()))
    }
  }
  const gateways = new Gateways({ urls: [url], clock, log: { warn: () => undefined } })
  stops.push(() => gateways.close())
  const stored = new Map<string, Uint8Array>()
  const came = Promise.withResolvers<void>()
  const local = {
    has: async (cid: CID) => stored.has(cid.toString()),
    put: async (cid: CID, bytes: Uint8Array) => {
      stored.set(cid.toString(), bytes)
      setImmediate(came.resolve)
    },
    get: async (cid: CID) => stored.get(cid.toString()) ?? new Uint8Array(),
    flush: async () => undefined
  }
  const trail = new Trail({ now: () => Date.now() })
  const remote = withGateways({ open: () => ({ ...peers, close: () => undefined }) }, { gateways, clock })
  const order = { registry: undefined, root: root.toString() as ContentId, size: 500_000 }
  return {
    stored,
    /** Something is stored. */
    came: came.promise,
    late: () => due.splice(0).forEach(task => task()),
    run: async () => {
      await fetchContent({ local, remote, trail }, order, AbortSignal.timeout(60_000))
      return trail.record(null).sources.filter(({ way }) => way === 'gateway').length
    }
  }
}

const nobody = async (): Promise<never> => {
  throw new RegistryError('CONTENT_UNAVAILABLE', 'there is nobody to ask')
}

test('an archive is asked for once, when peers have given up and when they are late', async () => {
  let late = (): void => undefined
  const { url, seen } = await gateway(response => {
    response.write(contentCarHeader(root))
    response.write(sectionOf(root))
    late()
    setImmediate(() => response.end(concatBytes(leaves.map(sectionOf))))
  })
  const fetch = fetching(url, { content: async () => ({ stored: [], bytes: 0 }), block: nobody })
  late = fetch.late
  await fetch.run()
  expect(fetch.stored.size).toBe(11)
  expect(seen.archives).toBe(1)
})

test('an archive that has brought nothing is given up when a peer sends something, however slow he is', async () => {
  const asked = Promise.withResolvers<void>()
  const { url, closed, seen } = await gateway(response => {
    response.write(contentCarHeader(root))
    asked.resolve()
  })
  const fetch = fetching(url, {
    content: async (_, store) => {
      fetch.late()
      await asked.promise
      await store.put(root, bytesOf(root))
      await closed
      for (const leaf of leaves) await store.put(leaf, bytesOf(leaf))
      return { stored: [root, ...leaves], bytes: 500_000, isAll: true }
    },
    block: nobody
  })
  expect(await fetch.run()).toBe(0)
  expect(seen.archives).toBe(1)
})

test('gateways are not asked beside a peer that sends slowly, but steadily', async () => {
  const { url, seen } = await gateway(response => response.end(contentCarHeader(root)))
  const fetch = fetching(url, {
    content: async (_, store) => {
      await store.put(root, bytesOf(root))
      fetch.late()
      for (const leaf of leaves) await store.put(leaf, bytesOf(leaf))
      return { stored: [root, ...leaves], bytes: 500_000, isAll: true }
    },
    block: nobody
  })
  expect(await fetch.run()).toBe(0)
  expect(seen.archives).toBe(0)
})

test('an archive that is coming is not left because a peer has the root, and one that is not is', async () => {
  const hasRoot = Promise.withResolvers<void>()
  const coming = await gateway(response => {
    response.write(contentCarHeader(root))
    response.write(sectionOf(root))
    void hasRoot.promise.then(() => response.end(concatBytes(leaves.map(sectionOf))))
  })
  const fetch = fetching(coming.url, {
    content: async () => {
      fetch.late()
      return { stored: [], bytes: 0 }
    },
    block: async cid => {
      await fetch.came
      fetch.stored.set(cid.toString(), bytesOf(cid))
      setImmediate(hasRoot.resolve)
      return bytesOf(cid)
    }
  })
  await fetch.run()
  expect(fetch.stored.size).toBe(11)
  const asked = Promise.withResolvers<void>()
  const stuck = await gateway(response => {
    response.write(contentCarHeader(root))
    asked.resolve()
  })
  const other = fetching(stuck.url, {
    content: async () => {
      other.late()
      return { stored: [], bytes: 0 }
    },
    block: async cid => {
      await asked.promise
      other.stored.set(cid.toString(), bytesOf(cid))
      return bytesOf(cid)
    }
  })
  await other.run()
  await stuck.closed
  expect(other.stored.size).toBe(11)
})
