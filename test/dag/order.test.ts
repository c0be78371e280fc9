import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { toLink } from '../../protocol/cid.ts'
import { DAG_REACHES } from '../../protocol/dag/messages.ts'
import type { DagReach } from '../../protocol/dag/messages.ts'
import { BlockOrder } from '../../protocol/dag/order.ts'
import { DagPlan, allowedBytes } from '../../protocol/dag/plan.ts'
import type { Holder } from '../../protocol/dag/plan.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RAW, parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { codeOf } from '../support/error-code.ts'
import { DagBlocks, SMALL, randomDag, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'

/** All that one request brings from somebody who has everything but what is left out. */
function sent({ root, blocks }: MadeDag, reach: DagReach, wants: readonly CID[], without = new Set<string>()): CID[] {
  const order = new BlockOrder({ reach, root, wants }, SMALL)
  const all: CID[] = []
  for (let next = order.next; next !== undefined; next = order.next) {
    if (without.has(next.toString())) {
      order.miss()
      continue
    }
    all.push(next)
    order.take(blocks.bytes(next))
  }
  return all
}

/** The same by the book: a node, then what it names and was not named before, each with all below it. */
function preorder({ blocks }: MadeDag, root: CID): string[] {
  const named = new Set([root.toString()])
  const walk = (cid: CID): string[] => {
    if (cid.code === RAW) return [cid.toString()]
    const node = parseUnixfsNode(blocks.bytes(cid), SMALL)
    if (node.type === 'shard') throw new Error('no shards here')
    const children = (node.type === 'file' ? node.leaves : node.entries).map(child => child.cid)
    const fresh = children.filter(child => !named.has(child.toString()) && named.add(child.toString()))
    return [cid.toString(), ...fresh.flatMap(walk)]
  }
  return walk(root)
}

describe('the order of an answer', () => {
  test('is depth first, every block once, as the document says', () => {
    fc.assert(
      fc.property(randomDag, dag => {
        const root = toLink(dag.root)
        const all = sent(dag, 'all', [root]).map(String)
        expect(all).toEqual(preorder(dag, root))
        expect(new Set(all).size).toBe(all.length)
        expect(all.toSorted()).toEqual([...dag.blocks.map.keys()].toSorted())
        expect(sent(dag, 'nodes', [root]).map(String)).toEqual(
          sent(dag, 'nodes', [root])
            .filter(cid => cid.code !== RAW)
            .map(String)
        )
        expect(sent(dag, 'nodes', [root]).length).toBe(all.filter(key => !key.startsWith('bafk')).length)
        expect(sent(dag, 'blocks', [root])).toEqual([root])
      })
    )
  })

  test('goes on behind what is not there, without what is below it', () => {
    fc.assert(
      fc.property(randomDag, fc.nat(), (dag, pick) => {
        const root = toLink(dag.root)
        const all = sent(dag, 'all', [root])
        const gone = all[pick % all.length]?.toString() ?? ''
        const rest = sent(dag, 'all', [root], new Set([gone])).map(String)
        expect(rest).not.toContain(gone)
        expect(all.map(String).filter(key => rest.includes(key))).toHaveLength(rest.length)
      })
    )
  })

  test.each(DAG_REACHES)('of %s is over after the last block, whatever comes then', reach => {
    const blocks = new DagBlocks()
    const dag = { blocks, root: rootOf(blocks.folder({})), size: 0 }
    const order = new BlockOrder({ reach, root: dag.root, wants: [toLink(dag.root)] })
    order.take(blocks.bytes(toLink(dag.root)))
    expect(order.next).toBeUndefined()
    expect(order.take(Uint8Array.of(1))).toBeUndefined()
    order.miss()
    expect(order.next).toBeUndefined()
  })
})

/** Peers that each have some of the blocks, asked in turn until none of them has anything that is missing. */
function fetched(dag: MadeDag, peers: readonly (readonly number[])[], has: ReadonlySet<string>): readonly string[] {
  const plan = new DagPlan(dag, SMALL)
  const keys = [...dag.blocks.map.keys()]
  const got: string[] = []
  for (const [i, lacking] of peers.entries()) {
    const lacks = new Set(lacking.map(pick => keys[pick % keys.length]))
    const holder: Holder = { peer: `peer ${i}` }
    for (let request = plan.next(holder); request !== undefined; request = plan.next(holder)) {
      const wants = request.wants.filter(cid => !(request.reach === 'blocks' && has.has(cid.toString())))
      for (const cid of request.wants) if (!wants.includes(cid)) plan.here(cid)
      const order = new BlockOrder({ ...request, wants }, SMALL)
      for (let next = order.next; next !== undefined; next = order.next) {
        if (lacks.has(next.toString())) {
          plan.refuse(next, holder.peer)
          order.miss()
          continue
        }
        const bytes = dag.blocks.bytes(next)
        const cid = next
        const { reach } = request
        const node = order.take(bytes) ?? (cid.code === RAW ? undefined : parseUnixfsNode(bytes, SMALL))
        const coming = reach === 'blocks' ? {} : { coming: { holder, leaves: reach === 'all' } }
        if (plan.arrived(cid, bytes, node === undefined ? {} : { node, ...coming })) got.push(cid.toString())
      }
    }
    plan.release(holder)
    expect(plan.hasWorkFor(holder.peer)).toBe(false)
  }
  expect(plan.isComplete).toBe(got.length + [...has].filter(key => key.startsWith('bafk')).length >= keys.length)
  return got
}

describe('a plan', () => {
  test('gets everything from peers that have all of it together, each block once', () => {
    fc.assert(
      fc.property(randomDag, fc.array(fc.nat(), { maxLength: 6 }), fc.boolean(), (dag, lacking, isLarge) => {
        // Large content is asked for in another way: nodes first.
        const size = dag.size + (isLarge ? LIMITS.dag.eagerBytes : 0)
        const got = fetched({ ...dag, size }, [lacking, []], new Set())
        expect(got.toSorted()).toEqual([...dag.blocks.map.keys()].toSorted())
      })
    )
  })

  test('asks for no leaf that is here', () => {
    const blocks = new DagBlocks()
    const old = blocks.raw(new Uint8Array(50_000).fill(1))
    const size = 100_000
    const root = rootOf(blocks.folder({ a: old, b: blocks.raw(new Uint8Array(50_000).fill(2)) }))
    const here = new Set([old.toString()])
    expect(fetched({ blocks, root, size }, [[]], here)).not.toContain(old.toString())
  })

  test('asks nobody for what another one is asked for, until that one is let go', () => {
    const blocks = new DagBlocks()
    const root = rootOf(blocks.folder({ a: blocks.raw(Uint8Array.of(1)), b: blocks.raw(Uint8Array.of(2)) }))
    const plan = new DagPlan({ root, size: 2 ** 20 })
    const [first, second] = [{ peer: 'a' }, { peer: 'b' }]
    expect(plan.next(first)?.reach).toBe('blocks')
    expect(plan.next(second)).toBeUndefined()
    expect(plan.hasWorkFor('b')).toBe(false)
    const bytes = blocks.bytes(toLink(root))
    const node = parseUnixfsNode(bytes, LIMITS.content)
    expect(plan.arrived(toLink(root), bytes, { node, coming: { holder: first, leaves: false } })).toBe(true)
    expect(plan.arrived(toLink(root), bytes, { node })).toBe(false)
    expect(plan.next(first)?.wants).toHaveLength(2)
    expect(plan.next(second)).toBeUndefined()
    plan.release(first)
    expect(plan.next(second)).toMatchObject({ reach: 'blocks', root })
  })

  test('asks for little content as a whole, and for much only for what is not here', () => {
    const blocks = new DagBlocks()
    const root = rootOf(blocks.folder({ a: blocks.raw(Uint8Array.of(1)) }))
    const reachOf = (size: number) => new DagPlan({ root, size }).next({ peer: 'a' })?.reach
    expect(reachOf(LIMITS.dag.eagerBytes)).toBe('all')
    expect(reachOf(LIMITS.dag.eagerBytes + 1)).toBe('blocks')
  })

  test('asks for all nodes in one go where nothing is here, and one by one where something is', () => {
    const blocks = new DagBlocks()
    const root = rootOf(blocks.folder({ a: blocks.folder({ b: blocks.folder({}) }), c: blocks.raw(Uint8Array.of(1)) }))
    const reachOf = (isPartlyHere: boolean) => {
      const plan = new DagPlan({ root, size: 2 ** 20 })
      expect(plan.sample).toBeUndefined()
      const bytes = blocks.bytes(toLink(root))
      plan.arrived(toLink(root), bytes, { node: parseUnixfsNode(bytes, LIMITS.content) })
      expect(plan.sample).toHaveLength(2)
      plan.sampled(isPartlyHere)
      expect(plan.sample).toBeUndefined()
      return plan.next({ peer: 'a' })?.reach
    }
    expect(reachOf(false)).toBe('nodes')
    expect(reachOf(true)).toBe('blocks')
  })

  test('refuses a file of 2 GiB before it asks for any of it', () => {
    const blocks = new DagBlocks()
    // One leaf for all of them: the node says of each that it has 1 MiB.
    const leaf = blocks.raw(new Uint8Array(4))
    const declared = (leaves: number) => ({
      type: 'file' as const,
      size: leaves * 2 ** 20,
      leaves: Array.from({ length: leaves }, (_, i) => ({
        cid: i === 0 ? leaf : blocks.raw(Uint8Array.of(i & 255, i >> 8)),
        size: 2 ** 20
      }))
    })
    const root = blocks.folder({ big: leaf })
    const plan = new DagPlan({ root: rootOf(root), size: 512 * 2 ** 20 })
    const arrive = () =>
      plan.arrived(root, blocks.bytes(root), {
        node: declared(2_048),
        coming: { holder: { peer: 'a' }, leaves: false }
      })
    expect(codeOf(arrive)).toBe('LIMIT_EXCEEDED')
  })

  test('refuses more bytes than the release can mean', () => {
    const blocks = new DagBlocks()
    const leaf = blocks.raw(new Uint8Array(10))
    const plan = new DagPlan({ root: rootOf(leaf), size: 1 })
    expect(codeOf(() => plan.arrived(leaf, new Uint8Array(allowedBytes(1) + 1)))).toBe('LIMIT_EXCEEDED')
  })
})

test('folders in folders, 10,000 deep, are refused at the depth that a package may have', () => {
  const blocks = new DagBlocks()
  let root = blocks.folder({})
  for (let depth = 0; depth < 10_000; depth++) root = blocks.folder({ a: root })
  const order = new BlockOrder({ reach: 'nodes', root: rootOf(root), wants: [root] })
  let taken = 0
  const walk = (): void => {
    for (let next = order.next; next !== undefined; next = order.next, taken++) order.take(blocks.bytes(next))
  }
  expect(codeOf(walk)).toBe('LIMIT_EXCEEDED')
  expect(taken).toBe(LIMITS.content.depth)
})

test('more blocks than a package may have are refused before they are asked for', () => {
  const blocks = new DagBlocks()
  const root = blocks.folder(
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, blocks.raw(Uint8Array.of(i))]))
  )
  const few = { ...LIMITS.content, blocks: 20 }
  const order = new BlockOrder({ reach: 'all', root: rootOf(root), wants: [root] }, few)
  expect(codeOf(() => order.take(blocks.bytes(root)))).toBe('LIMIT_EXCEEDED')
  const plan = new DagPlan({ root: rootOf(root), size: 100 }, few)
  const node = parseUnixfsNode(blocks.bytes(root), few)
  expect(codeOf(() => plan.arrived(root, blocks.bytes(root), { node }))).toBe('LIMIT_EXCEEDED')
})
