import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { LevelDatastore } from 'datastore-level'
import { fetchContent } from '../../../node/content-fetch.ts'
import { createSwarm } from '../../../node/p2p/swarm.ts'
import type { Swarm } from '../../../node/p2p/swarm.ts'
import { parseContentId } from '../../../protocol/cid.ts'
import { PUBLIC_NAMES } from '../../../protocol/membership/names.ts'
import { openBlocks } from '../../../storage/block-store.ts'
import type { VerifiedBlocks } from '../../../storage/verified-blocks.ts'

/**
 * Fetches content into the block store of a folder, and says how many bytes came in over its sockets. It ends itself with
 * SIGKILL, wherever it is, as soon as more than `until` have come.
 */
const [folder = '', address = '', root = '', size = '0', until = 'Infinity'] = process.argv.slice(2)
const signal = new AbortController().signal
const silent = (): void => undefined

interface Receiver {
  readonly swarm: Swarm
  readonly blocks: VerifiedBlocks
  close(): Promise<void>
}

async function open(): Promise<Receiver> {
  const own = join(folder, `data-${process.pid}`)
  await mkdir(own, { recursive: true })
  const datastore = new LevelDatastore(own)
  await datastore.open()
  const blocks = await openBlocks(join(folder, 'blocks'))
  const config = {
    name: 'test',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    mdns: false,
    relay: false,
    names: PUBLIC_NAMES,
    allowPeers: [],
    agent: 'ggen-node/test',
    roles: ['peer'] as const
  }
  const swarm = await createSwarm(config, {
    privateKey: await generateKeyPair('Ed25519'),
    datastore,
    blocks,
    sight: { isNamed: async () => true, strange: async () => [], has: async () => true },
    registries: () => [],
    gate: { admit: async () => ({ verdict: 'accept' }), admitMany: async () => [] },
    facts: {
      set: () => undefined,
      known: async () => [],
      get: async () => undefined,
      snapshot: async function* () {}
    },
    clock: {
      now: () => Date.now(),
      after: (ms, task) => {
        const timer = setTimeout(task, ms)
        return () => clearTimeout(timer)
      }
    },
    log: { debug: silent, info: silent, warn: silent }
  })
  await swarm.start()
  const close = async (): Promise<void> => {
    await swarm.stop()
    await datastore.close()
  }
  return { swarm, blocks, close }
}

const receiver = await open()
const { swarm, blocks } = receiver
const say = (what: string): void => void process.stdout.write(`${what} ${swarm.traffic().bytesIn}\n`)
const watch = setInterval(() => {
  if (swarm.traffic().bytesIn < Number(until)) return
  clearInterval(watch)
  // A pipe that is written to at once has the line before the end.
  say('killed')
  process.kill(process.pid, 'SIGKILL')
}, 1)
await swarm.connect(address)
const remote = { open: (_: unknown, abort: AbortSignal) => swarm.fetch(undefined, { signal: abort }) }
await fetchContent(
  { local: blocks, remote },
  { registry: undefined, root: parseContentId(root), size: Number(size) },
  signal
)
clearInterval(watch)
say('whole')
await receiver.close()
