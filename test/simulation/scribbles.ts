import { decodeChange, encodeChange } from '@automerge/automerge'
import type { FactId } from '../../protocol/cid.ts'
import { factIdOf } from '../../protocol/cid.ts'
import { toHex } from '../../protocol/bytes.ts'
import { scanChange } from '../../protocol/document/change.ts'
import type { Composed } from '../../protocol/document/document.ts'
import { keyOf } from '../../protocol/document/edits.ts'
import type { Edit } from '../../protocol/document/edits.ts'
import { actorOf } from '../../protocol/document/payload.ts'
import type { Metadata } from '../../protocol/document/payload.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { CitedAuthority } from '../../protocol/payload.ts'
import type { Person } from '../support/facts.ts'
import { drawEdits } from './edit-operations.ts'
import type { Rng } from './rng.ts'
import type { SimNode } from './sim-node.ts'

/** Somebody who is about to say something about words, and where. */
export interface Scribbler {
  readonly node: SimNode
  readonly rng: Rng
  readonly by: Person
  readonly chain: string
  readonly subject: Subject
  readonly authority: CitedAuthority
}

/**
 * Words that their author has no business to say so:
 *
 *   honest      as anybody would: for forks and for those without a role
 *   operations  a change that begins at another operation than it would
 *   replaces    a change that replaces operations that are not there, or does not replace those that are
 *   position    a change at another position of its actor
 *   hanging     follows facts and changes that nobody has
 *   epoch       belongs to an epoch that never began
 *   rollover    folds what nobody has, or only some of what there is
 */
export const LIES = ['honest', 'operations', 'replaces', 'position', 'hanging', 'epoch', 'rollover'] as const
export type Lie = (typeof LIES)[number]

export async function scribble(scribbler: Scribbler, lie: Lie): Promise<Metadata | undefined> {
  const { node, rng, by, chain, subject, authority } = scribbler
  const { registry } = node.world
  const composed = await node.running?.documents.hurried(documents =>
    documents.compose({ registry, subject, author: by.did, chain, edits: drawEdits(subject, rng) })
  )
  if (composed === undefined) return undefined
  if (lie === 'rollover') {
    const after = rng.chance(0.5) ? composed.after.slice(0, 1) : [nobodys(rng)]
    return after.length === 0 ? undefined : { authority, epoch: composed.epoch, after, edits: [], change: null }
  }
  const { epoch, after, edits, change } = composed
  if (change === undefined) return undefined
  const value = { authority, epoch, after, edits, change: read(change) }
  switch (lie) {
    case 'honest':
      return value
    case 'hanging':
      return { ...value, after: [...after.slice(0, 8), nobodys(rng)].toSorted() }
    case 'epoch':
      return { ...value, epoch: nobodys(rng) }
    case 'operations':
    case 'replaces':
    case 'position':
      return { ...value, change: read(forged(scribbler, composed, { change, lie })) }
  }
}

/** The same edits in a change that says something else about where it stands. */
function forged(
  { node, rng, by, chain, subject }: Scribbler,
  { edits }: Composed,
  { change, lie }: { readonly change: Uint8Array; readonly lie: Lie }
): Uint8Array {
  const { seq, startOp, deps, ops } = decodeChange(change)
  const actor = actorOf({ author: by.did, registry: node.world.registry, subject, chain })
  const preds = ops.map(({ pred }) => (lie === 'replaces' ? replaced(pred, { startOp, rng }) : pred))
  return encodeChange({
    actor,
    seq: lie === 'position' ? seq + rng.between(1, 3) : seq,
    startOp: lie === 'operations' ? startOp + rng.between(1, 40_000) : startOp,
    time: 0,
    message: null,
    author: null,
    deps: lie === 'position' && rng.chance(0.5) ? [toHex(rng.bytes(32))] : [...deps],
    ops: edits.map((one, i) => operationOf(one, preds[i] ?? []))
  })
}

function operationOf(one: Edit, pred: readonly string[]): Parameters<typeof encodeChange>[0]['ops'][number] {
  const at = { obj: '_root', key: keyOf(one.path), pred: [...pred] }
  return one.op === 'delete' ? { ...at, action: 'del' } : { ...at, action: 'set', value: one.value }
}

function replaced(
  pred: readonly string[],
  { startOp, rng }: { readonly startOp: number; readonly rng: Rng }
): readonly string[] {
  // What comes later cannot be replaced: such a change does not get past the gate.
  return startOp === 1 || (pred.length > 0 && rng.chance(0.5))
    ? []
    : [`${rng.between(1, startOp - 1)}@${toHex(rng.bytes(32))}`]
}

function read(change: Uint8Array): Metadata['change'] {
  return { ...scanChange(change), bytes: change }
}

function nobodys(rng: Rng): FactId {
  return factIdOf(rng.bytes(32))
}
