import { compareText } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { RegistryError } from './errors.ts'
import { parseEnvelope, recordOf } from './fact.ts'
import type { Envelope } from './fact.ts'
import { LIMITS } from './limits.ts'

/**
 * Facts that people hand to each other, docs/spec/fact-file.md:
 *
 *   {"v": 1, "kind": "facts", "facts": [envelope, …]}     ascending by fact id, each once
 *
 * Nothing in it is believed: each fact passes the gate like any other.
 * @throws RegistryError LIMIT_EXCEEDED when it would be too large
 */
export function formatFactFile(envelopes: Iterable<Envelope>): Uint8Array {
  return formatEnvelopes('facts', envelopes, LIMITS.factFile)
}

/** The facts of a file, ascending by id. The signatures are NOT checked here. @throws RegistryError LIMIT_EXCEEDED | MALFORMED */
export function parseFactFile(bytes: Uint8Array): readonly Envelope[] {
  return parseEnvelopes('facts', bytes, LIMITS.factFile)
}

/** What both kinds of files are bounded by. */
export interface FileBounds {
  readonly bytes: number
  readonly facts: number
}

/** A file of envelopes of one kind, in its one spelling. @throws RegistryError LIMIT_EXCEEDED */
export function formatEnvelopes(kind: string, envelopes: Iterable<Envelope>, bounds: FileBounds): Uint8Array {
  const byId = new Map([...envelopes].map(envelope => [envelope.id, envelope]))
  const sorted = [...byId.values()].toSorted((a, b) => compareText(a.id, b.id))
  if (sorted.length > bounds.facts)
    throw new RegistryError('LIMIT_EXCEEDED', `a file holds at most ${bounds.facts} facts, these are ${sorted.length}`)
  const bytes = encodeCbor({ v: 1, kind, facts: sorted.map(envelope => envelope.bytes) })
  if (bytes.length > bounds.bytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a file has at most ${bounds.bytes} bytes, this one ${bytes.length}`)
  return bytes
}

/** Reads a file of one kind. @throws RegistryError LIMIT_EXCEEDED | MALFORMED */
export function parseEnvelopes(kind: string, bytes: Uint8Array, bounds: FileBounds): readonly Envelope[] {
  // Attack: exhaustion. The size is known before anything is decoded, and no more items than may be there are built.
  if (bytes.length > bounds.bytes) throw new RegistryError('LIMIT_EXCEEDED', `a file has at most ${bounds.bytes} bytes`)
  const raw = decodeFile(bytes, bounds)
  if (raw.v !== 1 || raw.kind !== kind) throw malformed(`not a file of the kind "${kind}", version 1`)
  if (!Array.isArray(raw.facts) || raw.facts.length === 0) throw malformed('it holds no facts')
  const envelopes = raw.facts.map((entry: unknown) => {
    if (!(entry instanceof Uint8Array)) throw malformed('an entry is no fact')
    return parseEnvelope(entry)
  })
  // One spelling: a fact that is there twice, or two files of the same facts that differ, fail here.
  const isInOrder = envelopes.every(({ id }, i) => i === 0 || compareText(envelopes[i - 1]?.id ?? '', id) < 0)
  if (!isInOrder) throw malformed('facts: sorted by id and distinct')
  return envelopes
}

function decodeFile(bytes: Uint8Array, { facts }: FileBounds): Record<'v' | 'kind' | 'facts', unknown> {
  try {
    return recordOf(decodeCbor(bytes, 2, facts + 7), ['v', 'kind', 'facts'])
  } catch (cause) {
    throw new RegistryError(
      'MALFORMED',
      'this is no file of statements that ggen-node wrote, or it was changed since',
      {
        cause,
        next: 'ask whoever made it to write it again: --out FILE writes statements, proof export a proof'
      }
    )
  }
}

function malformed(why: string): RegistryError {
  return new RegistryError('MALFORMED', `the file does not have its shape: ${why}`)
}
