import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { DagPlan } from '../../protocol/dag/plan.ts'
import type { DagRequest } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'

const LEAF = 2 ** 20
const MANY = 8

/** A plan that knows the way to eight leaves of one file, and these in their order. */
function planOf(): { readonly plan: DagPlan; readonly leaves: readonly string[] } {
  const blocks = new DagBlocks()
  const size = LEAF * MANY
  const root = rootOf(blocks.folder({ 'big.bin': blocks.file(randomBytes(size), LEAF) }))
  const plan = new DagPlan({ root, size })
  const leaves: string[] = []
  for (let [next] = plan.missingNodes; next !== undefined; [next] = plan.missingNodes) {
    const node = parseUnixfsNode(blocks.map.get(next.toString())?.bytes ?? new Uint8Array(), LIMITS.content)
    if (node.type === 'file') leaves.push(...node.leaves.map(({ cid }) => cid.toString()))
    plan.here(next, node)
  }
  return { plan, leaves }
}

const wants = (request: DagRequest | undefined): readonly string[] => (request?.wants ?? []).map(cid => cid.toString())

test('leaves are asked for in their order, or from somewhere on and then those before', () => {
  const { plan, leaves } = planOf()
  expect(leaves).toHaveLength(MANY)
  expect(wants(plan.next({ peer: 'a' }, 1, 1))).toEqual(leaves.slice(0, 1))
  plan.beginAt(0.75)
  plan.beginAt(0.25)
  expect(wants(plan.next({ peer: 'a' }, 1, MANY * LEAF))).toEqual([...leaves.slice(6), ...leaves.slice(1, 6)])
  expect(plan.hasWorkFor('a')).toBe(false)
})

test('what a peer has not got is asked of it again only when that is forgiven, and of others at once', () => {
  const { plan, leaves } = planOf()
  const request = plan.next({ peer: 'a' }, 1, MANY * LEAF)
  for (const cid of request?.wants ?? []) plan.refuse(cid, 'a')
  expect(plan.hasWorkFor('a')).toBe(false)
  expect(wants(plan.next({ peer: 'b' }, 1, 1))).toEqual(leaves.slice(0, 1))
  plan.forgive('b')
  expect(plan.hasWorkFor('a')).toBe(false)
  plan.forgive('a')
  expect(wants(plan.next({ peer: 'a' }, 1, MANY * LEAF))).toEqual(leaves.slice(1))
})

test('all of it is new only where every block came, and none was here', () => {
  const blocks = new DagBlocks()
  const root = rootOf(blocks.folder({ a: blocks.file(randomBytes(10), LEAF), b: blocks.file(randomBytes(10), LEAF) }))
  const bytesOf = (key: string): Uint8Array => blocks.map.get(key)?.bytes ?? new Uint8Array()
  const isNew = (isHere: boolean): readonly boolean[] => {
    const plan = new DagPlan({ root, size: 20 })
    const [top] = plan.missingNodes
    if (top === undefined) throw new Error('a plan begins with its root')
    const node = parseUnixfsNode(bytesOf(root), LIMITS.content)
    plan.arrived(top, bytesOf(root), { node })
    return (plan.next({ peer: 'a' })?.wants ?? []).map((cid, i) => {
      if (isHere && i === 0) plan.here(cid)
      else plan.arrived(cid, bytesOf(cid.toString()))
      return plan.isAllNew
    })
  }
  expect(isNew(false)).toEqual([false, true])
  expect(isNew(true)).toEqual([false, false])
})
