import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { mirrorStatusLines } from '../../bin/commands/mirror-text.ts'
import { placeOf } from '../../node/replication.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { errorOf } from '../support/daemon.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'

afterEach(stopRunningNodes)

/** Several whole nodes each, on a machine that may have other things to do. */
const SLOW = { timeout: 120_000 }

async function publish(node: TestRunningNode, name: string, version = '1.0.0', bytes = 20_000): Promise<ContentId> {
  const folder = await packageFolder({ name, version, files: { 'data.bin': randomBytes(bytes) } })
  return (await node.call('publish', { folder })).cid
}

const holds = (node: TestRunningNode, root: ContentId) => node.parts.spaces.public.isKept(root)

/** Who follows has all facts and all that it wants. */
async function caughtUp(node: TestRunningNode, registry: RegistryId, from: TestRunningNode): Promise<void> {
  const facts = from.parts.facts.head(registry).count
  await node.call('waitFor', { registry, facts, peers: 1, kept: true, timeoutMs: HEARD_MS })
}

/** Resolves once it is so; asked whenever the node says that something changed. */
async function until(node: TestRunningNode, isSo: () => Promise<boolean>): Promise<void> {
  const done = Promise.withResolvers<void>()
  const look = (): void => void isSo().then(so => (so ? done.resolve() : undefined), done.reject)
  const stop = node.parts.onChange(look)
  look()
  try {
    await done.promise
  } finally {
    stop()
  }
}

const statusOf = async (node: TestRunningNode, what?: string) => {
  const [status] = await node.call('mirrorStatus', what === undefined ? {} : { what })
  if (status === undefined) throw new Error('nothing is mirrored')
  return status
}

/** A node that follows a registry of another one, and is connected to it. */
async function follower(registry: RegistryId, at: TestRunningNode): Promise<TestRunningNode> {
  const node = await runningNode()
  await follow(node, registry, at)
  return node
}

describe('a mirror with a quota', () => {
  test(
    'holds the latest, lets go of what is pushed out, is still one after a restart, and says what does not come',
    SLOW,
    async () => {
      const a = await runningNode()
      const registry = await a.found('open')
      const old = await publish(a, 'tool', '1.0.0')
      const mid = await publish(a, 'tool', '2.0.0')
      const other = await publish(a, 'other', '1.0.0')
      let b = await follower(registry, a)
      await caughtUp(b, registry, a)
      const added = await b.call('mirrorAdd', { what: 'tool', quotaBytes: 30_000 })
      expect(added).toMatchObject({
        what: 'main:tool',
        change: 'new',
        roots: 1,
        held: 0,
        leftOut: 1,
        quotaBytes: 30_000
      })
      await caughtUp(b, registry, a)
      expect(await Promise.all([old, mid, other].map(root => holds(b, root)))).toEqual([false, true, false])
      expect(await statusOf(b)).toMatchObject({
        wanted: { roots: 1 },
        held: { roots: 1 },
        missing: { roots: 0 },
        leftOut: { roots: 1 },
        leftOutRoots: [{ root: old, version: '1.0.0' }],
        lagMs: null,
        caughtUp: true,
        failed: { roots: 0 },
        failedRoots: []
      })
      const next = await publish(a, 'tool', '3.0.0')
      await caughtUp(b, registry, a)
      expect(await Promise.all([old, mid, next].map(root => holds(b, root)))).toEqual([false, false, true])
      // Its blocks went, too: 20,000 bytes of each of the others are not here.
      expect((await b.parts.spaces.public.stored.usage()).bytes).toBeLessThan(30_000)
      // What does not come is said, since when, and why.
      await b.call('storeQuota', { swarm: 'public', bytes: 1_000 })
      await b.call('mirrorAdd', { what: 'other', factor: 2 })
      await until(b, async () => (await statusOf(b, 'main:other')).failed.roots > 0)
      const status = await statusOf(b, 'main:other')
      expect(status).toMatchObject({
        what: 'main:other',
        missing: { roots: 1 },
        failed: { roots: 1 },
        failedRoots: [{ root: other, registry, alias: 'main', version: '1.0.0', code: 'QUOTA_EXCEEDED' }],
        providers: { min: 1, median: 1, belowFactor: 1, belowFactorRoots: [{ root: other, providers: 1 }] }
      })
      expect(status.lagMs).not.toBeNull()
      // A restart makes no mirror less late.
      const since = b.parts.mirrors.missingSince(registry, other)
      await b.stop()
      // Nobody is left from whom it could come.
      await a.stop()
      b = await runningNode({ home: b.home })
      await until(b, async () => (await statusOf(b, 'main:other')).lagMs !== null)
      expect(b.parts.mirrors.missingSince(registry, other)).toBe(since)
      // Whose it is, why it did not come, and who was asked.
      await b.call('storeQuota', { swarm: 'public', bytes: 0 })
      await until(b, async () => (await statusOf(b, 'main:other')).failedRoots[0]?.code === 'CONTENT_UNAVAILABLE')
      const failed = await statusOf(b, 'main:other')
      expect(failed.failedRoots[0]?.tried).toContain('this node')
      expect(mirrorStatusLines([failed]).join('\n')).toMatch(
        /Failed main:ggen\/other@1\.0\.0 {2}bafy.*\n.*CONTENT_UNAVAILABLE: .*\n +tried: this node\n[^]*next: connect/
      )
      await b.call('mirrorRemove', { what: 'other' })
      await b.stop()
      b = await runningNode({ home: b.home })
      expect(await b.call('mirrorList', {})).toMatchObject([{ what: 'main:tool', quotaBytes: 30_000, factor: null }])
      // What it holds is pinned from the first look on, also for a collection.
      await b.call('storeGc', { all: true, dryRun: false })
      expect(await holds(b, next)).toBe(true)
      expect(await b.call('mirrorAdd', { what: 'main:tool', factor: 3 })).toMatchObject({
        change: 'changed',
        factor: 3
      })
      expect(await b.call('mirrorRemove', { what: 'main:tool' })).toMatchObject({ what: 'main:tool' })
      expect(await errorOf(b.call('mirrorStatus', { what: 'main:tool' }))).toMatchObject({ code: 'UNKNOWN_ENTRY' })
      await b.call('storeGc', { all: true, dryRun: false })
      expect(await holds(b, next)).toBe(false)
    }
  )
})

describe('replication', () => {
  test(
    'is met again after a holder went away: a mirror whose quota was full of what others have makes room',
    SLOW,
    async () => {
      const a = await runningNode()
      const registry = await a.found('open')
      const old = await publish(a, 'old')
      const late = await publish(a, 'late')
      const nodes: TestRunningNode[] = []
      for (let i = 0; i < 3; i++) nodes.push(await follower(registry, a))
      // The one that may leave first what enough others hold is the one with the quota.
      const [full, part, small] = nodes.toSorted((x, y) =>
        placeOf(x.peerId, late) < placeOf(y.peerId, late) ? -1 : 1
      ) as [TestRunningNode, TestRunningNode, TestRunningNode]
      for (const node of nodes) await caughtUp(node, registry, a)
      await small.call('connect', { address: full.address })
      await small.call('connect', { address: part.address })
      await full.call('mirrorAdd', { what: 'main:' })
      await part.call('mirrorAdd', { what: 'late' })
      await caughtUp(full, registry, a)
      await caughtUp(part, registry, a)
      const others = (root: ContentId) => small.parts.mirrors.replication.others(registry, root).length
      await until(small, async () => others(old) === 2 && others(late) === 3)
      await small.call('mirrorAdd', { what: 'main:', quotaBytes: 30_000, factor: 2 })
      await caughtUp(small, registry, a)
      expect(await Promise.all([old, late].map(root => holds(small, root)))).toEqual([false, true])
      expect(await statusOf(small)).toMatchObject({
        leftOutRoots: [{ root: old }],
        providers: { belowFactor: 0, min: 4 }
      })
      await a.stop()
      await until(small, async () => holds(small, old))
      await until(full, async () => full.parts.network().holders(old).includes(small.peerId))
      expect(await statusOf(small)).toMatchObject({
        held: { roots: 1 },
        leftOutRoots: [{ root: late }],
        providers: { belowFactor: 0, min: 2 }
      })
    }
  )
})
