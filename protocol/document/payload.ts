import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import { factIdFromLink, toLink } from '../cid.ts'
import type { FactId } from '../cid.ts'
import { recordOf } from '../fact.ts'
import type { FactBody, Subject } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { malformed, parseFactIds, text } from '../payload-shape.ts'
import { scanChange } from './change.ts'
import type { ScannedChange } from './change.ts'
import type { CitedAuthority } from './cited.ts'
import { editFault, keyOf } from './edits.ts'
import type { Edit, Path } from './edits.ts'

/**
 * An edit of a document, or a rollover: an owner's fact that begins the document anew from what stood at some of its
 * facts. docs/spec/metadata.md section 1.
 */
export interface Metadata {
  readonly authority: CitedAuthority
  /** The rollover in whose epoch it was made; null before the first. */
  readonly epoch: FactId | null
  /**
   * The edits that it follows, ascending: what its author saw, the last of each line of history. A rollover folds these and
   * all before them.
   */
  readonly after: readonly FactId[]
  /** Empty in a rollover. */
  readonly edits: readonly Edit[]
  /** The same edits as an Automerge change. Null in a rollover. */
  readonly change: (ScannedChange & { readonly bytes: Uint8Array }) | null
}

/**
 * The Automerge actor of a chain, 64 hex characters. Attack: a change under the actor of somebody else would keep that
 * one's own changes out, so each fact may bring changes only of the actor that its header gives.
 */
export function actorOf({
  author,
  registry,
  subject,
  chain
}: Pick<FactBody, 'author' | 'registry' | 'subject' | 'chain'>): string {
  return toHex(sha256(encodeCbor(['actor', author, registry, subject, chain])))
}

export function metadataRecord({ authority, epoch, after, edits, change }: Metadata): unknown {
  return {
    authority: { registry: toLink(authority.registry), package: toLink(authority.package) },
    epoch: epoch === null ? null : toLink(epoch),
    after: after.map(toLink),
    edits: edits.map(edit => ({ op: edit.op, path: edit.path, value: edit.op === 'put' ? edit.value : null })),
    change: change === null ? null : change.bytes
  }
}

/**
 * Everything that the bytes alone can say: edits follow the grammar of their subject, and the change is by the actor of
 * this chain and says, one for one, the same edits. Nothing of it was given to Automerge.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseMetadata(raw: unknown, body: FactBody): Metadata {
  const record = recordOf(raw, ['authority', 'epoch', 'after', 'edits', 'change'])
  const cited = recordOf(record.authority, ['registry', 'package'])
  const authority = { registry: factIdFromLink(cited.registry), package: factIdFromLink(cited.package) }
  if (body.subject === 'registry' && authority.package !== authority.registry) throw malformed('authority')
  const epoch = record.epoch === null ? null : factIdFromLink(record.epoch)
  const { edits, change } = record
  const after = parseAfter(record.after)
  if (!Array.isArray(edits)) throw malformed('edits')
  if (change === null) {
    if (edits.length > 0 || after.length === 0) throw malformed('a rollover edits nothing, and folds something')
    return { authority, epoch, after, edits: [], change }
  }
  if (edits.length === 0 || edits.length > LIMITS.document.edits) throw malformed('edits')
  const parsed = edits.map(edit => parseEdit(edit, body.subject))
  if (!(change instanceof Uint8Array)) throw malformed('change')
  const scanned = scanChange(change)
  assertSame(scanned, parsed, body)
  return { authority, epoch, after, edits: parsed, change: { ...scanned, bytes: change } }
}

function parseAfter(raw: unknown): readonly FactId[] {
  return Array.isArray(raw) && raw.length === 0 ? [] : parseFactIds(raw, LIMITS.document.after)
}

function parseEdit(raw: unknown, subject: Subject): Edit {
  const { op, path, value } = recordOf(raw, ['op', 'path', 'value'])
  if (!Array.isArray(path) || path.length > LIMITS.document.segments) throw malformed('path')
  const segments: Path = path.map(text)
  const edit = editOf(op, segments, value)
  if (editFault(subject, edit) !== undefined) throw malformed('edit')
  return edit
}

function editOf(op: unknown, path: Path, value: unknown): Edit {
  if (op === 'delete' && value === null) return { op, path }
  if (op === 'put' && (typeof value === 'string' || value === true)) return { op, path, value }
  throw malformed('edit')
}

/** Attack: edits that people read and a change that says something else. */
function assertSame({ actor, ops }: ScannedChange, edits: readonly Edit[], body: FactBody): void {
  if (actor !== actorOf(body)) throw malformed('change: it is by another actor')
  const isSame =
    ops.length === edits.length &&
    edits.every((edit, i) => {
      const op = ops[i]
      return op?.key === keyOf(edit.path) && op.value === (edit.op === 'put' ? edit.value : undefined)
    })
  if (!isSame) throw malformed('change: it does not say what the edits say')
  // Twice the same key in one change: the second would replace an operation of its own change.
  if (new Set(ops.map(({ key }) => key)).size < ops.length) throw malformed('edits: one key twice')
}
