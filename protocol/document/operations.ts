import { fromUtf8 } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import type { ByteReader } from './byte-reader.ts'
import { COLUMN, RunColumn, type Columns } from './columns.ts'
import type { DocumentValue } from './edits.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

/** One operation of a change, on the root of the document. */
export interface ScannedOp {
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: DocumentValue | undefined
}

/** What the operations of a change may refer to. */
export interface OperationScope {
  readonly startOp: number
  /** The author and behind it the others that the change names, in hex: an operation says which by its place. */
  readonly actors: readonly string[]
}

const ACTION = Object.freeze({ set: 1, delete: 3 })

/** The low bits of what stands before a value; the bits above are its length. */
const VALUE_KINDS = 16
const KIND = Object.freeze({ true: 2, text: 6 })

/** Attack: a name that means something else than a key to whoever makes an object of the document. */
const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * The operations that the columns of a change say: puts of a text or `true`, and deletes.
 * @throws RegistryError MALFORMED or LIMIT_EXCEEDED
 */
export function readOperations(columns: Columns, scope: OperationScope): readonly ScannedOp[] {
  const keys = new RunColumn(columns.get(COLUMN.key), readKey)
  const actions = new RunColumn(columns.get(COLUMN.action), readUint)
  const metas = new RunColumn(columns.get(COLUMN.valueMeta), readUint)
  const raw = columns.get(COLUMN.valueRaw)
  const predecessors = new Predecessors(columns, scope)
  const ops: ScannedOp[] = []
  while (!keys.done) {
    // Attack: 119 bytes that say a million operations.
    if (ops.length === DOCUMENT_LIMITS.edits)
      throw new RegistryError('LIMIT_EXCEEDED', `a change has more than ${DOCUMENT_LIMITS.edits} operations`)
    const key = keys.next()
    ops.push({ key, value: readValue(actions.next(), metas.next(), raw) })
    predecessors.read(scope.startOp + ops.length - 1)
  }
  if (ops.length === 0) throw new RegistryError('MALFORMED', 'a change does nothing')
  if (!actions.done || !metas.done || (raw !== undefined && raw.left > 0))
    throw new RegistryError('MALFORMED', 'columns of a change are not equally long')
  predecessors.end()
  checkInserts(columns.get(COLUMN.insert), ops.length)
  return ops
}

function readUint(reader: ByteReader): number {
  return reader.uint()
}

function readInt(reader: ByteReader): number {
  return reader.int()
}

function readKey(reader: ByteReader): string {
  const length = reader.uint()
  if (length > DOCUMENT_LIMITS.keyBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a key is longer than ${DOCUMENT_LIMITS.keyBytes} bytes`)
  const key = fromUtf8(reader.take(length))
  if (key === undefined || key === '') throw new RegistryError('MALFORMED', 'a key of a change is no text')
  if (key.split('/').some(segment => RESERVED.has(segment)))
    throw new RegistryError('MALFORMED', 'a key of a change has a reserved name in it')
  return key
}

function readValue(action: number, meta: number, raw: ByteReader | undefined): DocumentValue | undefined {
  if (action === ACTION.delete) {
    if (meta === 0) return undefined
    throw new RegistryError('MALFORMED', 'a delete has a value')
  }
  if (action !== ACTION.set) throw new RegistryError('MALFORMED', 'an operation is neither a put nor a delete')
  if (meta === KIND.true) return true
  if (meta % VALUE_KINDS !== KIND.text)
    throw new RegistryError('MALFORMED', 'a value of a change is neither a text nor true')
  const length = Math.floor(meta / VALUE_KINDS)
  if (length === 0) return ''
  if (raw === undefined) throw new RegistryError('MALFORMED', 'a change is cut short')
  const text = fromUtf8(raw.take(length))
  if (text === undefined) throw new RegistryError('MALFORMED', 'a value of a change is not valid utf-8')
  return text
}

/** One number: how many operations there are that do not insert into a list. All do not. */
function checkInserts(column: ByteReader | undefined, ops: number): void {
  if (column?.uint() !== ops || column.left > 0)
    throw new RegistryError('MALFORMED', 'an operation inserts into a list, or the column does not say that none does')
}

/** What the operations of a change replace: how many values each, and of each the actor and the counter. */
class Predecessors {
  readonly #counts: RunColumn<number>
  readonly #actors: RunColumn<number>
  readonly #steps: RunColumn<number>
  readonly #scope: OperationScope
  readonly #named: Set<number> = new Set()
  #counter = 0

  constructor(columns: Columns, scope: OperationScope) {
    this.#counts = new RunColumn(columns.get(COLUMN.predecessorCount), readUint)
    this.#actors = new RunColumn(columns.get(COLUMN.predecessorActor), readUint)
    this.#steps = new RunColumn(columns.get(COLUMN.predecessorCounter), readInt)
    this.#scope = scope
  }

  /** Checks those of the next operation, whose own counter is given. */
  read(own: number): void {
    const count = this.#counts.next()
    if (count > DOCUMENT_LIMITS.predecessors)
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `an operation replaces more than ${DOCUMENT_LIMITS.predecessors} values`
      )
    let before = 0
    let beforeActor = ''
    for (let i = 0; i < count; i++) {
      const index = this.#actors.next()
      const actor = this.#scope.actors[index]
      // Counters are written as steps from one to the next, on through all operations.
      const counter = this.#counter + this.#steps.next()
      if (actor === undefined) throw new RegistryError('MALFORMED', 'an operation names an actor that is not there')
      if (counter < 1 || counter >= own)
        throw new RegistryError('MALFORMED', 'an operation replaces one that cannot have been before it')
      if (counter < before || (counter === before && actor <= beforeActor))
        throw new RegistryError('MALFORMED', 'what an operation replaces is not sorted or not distinct')
      before = this.#counter = counter
      beforeActor = actor
      this.#named.add(index)
    }
  }

  /** After the last operation. */
  end(): void {
    if (!this.#counts.done || !this.#actors.done || !this.#steps.done)
      throw new RegistryError('MALFORMED', 'columns of a change are not equally long')
    // The author is always there, whether or not one of its own values is replaced.
    this.#named.add(0)
    if (this.#named.size !== this.#scope.actors.length)
      throw new RegistryError('MALFORMED', 'a change names an actor that none of its operations is about')
  }
}
