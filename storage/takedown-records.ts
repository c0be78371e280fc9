import { CID } from 'multiformats/cid'
import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parseContentId } from '../protocol/cid.ts'
import type { ContentId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { keysFrom } from './fact-records.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** What an operator took down, and when. */
export interface TakedownRecord {
  readonly root: ContentId
  /** As the operator named it. */
  readonly reference: string
  /** The operator's words, or nothing. */
  readonly reason: string
  readonly time: number
}

const RAW = 0x55

/**
 * What this node withholds, in the same store as everything else:
 *
 *   takedown!<root>          -> {reason, reference, time}
 *   withheld!<root>!<block>  -> empty; the block as a CID of the raw codec, because blocks are found by their hash
 *
 * What is withheld is written before the takedown that lists it, and deleted after it: what is listed is withheld as a
 * whole, whatever a crash leaves.
 */
export class TakedownRecords {
  readonly #kv: KeyValue

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async takedowns(): Promise<readonly TakedownRecord[]> {
    const found: TakedownRecord[] = []
    for await (const [key, value] of this.#kv.iterate(keysFrom('takedown!'))) {
      const { reference, reason, time } = recordOf(decodeCbor(value, 1), ['reference', 'reason', 'time'])
      if (typeof reference !== 'string' || typeof reason !== 'string' || typeof time !== 'number') {
        throw new RegistryError('STORE_CORRUPT', 'the record of a takedown cannot be read')
      }
      found.push({ root: parseContentId(key.slice('takedown!'.length)), reference, reason, time })
    }
    return found
  }

  /** Every block that is withheld, and for which root. */
  async *withheld(): AsyncGenerator<readonly [ContentId, CID]> {
    for await (const [key] of this.#kv.iterate({ ...keysFrom('withheld!'), keysOnly: true })) {
      const [, root = '', block = ''] = key.split('!')
      yield [parseContentId(root), CID.parse(block)]
    }
  }

  async withhold({ root, reference, reason, time }: TakedownRecord, blocks: readonly CID[]): Promise<void> {
    const ops: KeyValueOp[] = blocks.map(cid => ({ type: 'put', key: keyOf(root, cid), value: new Uint8Array(0) }))
    ops.push({ type: 'put', key: `takedown!${root}`, value: encodeCbor({ reference, reason, time }) })
    await this.#write(ops)
  }

  /** Takes it all back. */
  async release(root: ContentId): Promise<void> {
    const ops: KeyValueOp[] = [{ type: 'del', key: `takedown!${root}` }]
    for await (const [key] of this.#kv.iterate({ ...keysFrom(`withheld!${root}!`), keysOnly: true })) {
      ops.push({ type: 'del', key })
    }
    await this.#write(ops)
  }

  /** Withholds these blocks for that root no longer. */
  async allow(root: ContentId, blocks: readonly CID[]): Promise<void> {
    await this.#write(blocks.map(cid => ({ type: 'del', key: keyOf(root, cid) })))
  }

  async #write(ops: readonly KeyValueOp[]): Promise<void> {
    for (let from = 0; from < ops.length; from += LIMITS.admission.keysPerWrite) {
      await this.#kv.batch(ops.slice(from, from + LIMITS.admission.keysPerWrite), { sync: true })
    }
  }
}

function keyOf(root: ContentId, { multihash }: CID): string {
  return `withheld!${root}!${CID.createV1(RAW, multihash).toString()}`
}
