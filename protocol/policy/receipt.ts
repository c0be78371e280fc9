import { base64pad } from 'multiformats/bases/base64'
import { fromUtf8, toHex } from '../bytes.ts'
import { parseContentId, parseFactId, parseRegistryId } from '../cid.ts'
import type { ContentId, FactId, RegistryId } from '../cid.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { RegistryError } from '../errors.ts'
import { preAuthEncoding } from '../fact.ts'
import { parsePackageName } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import type { Outcome, ReleaseVerdict } from './evaluate.ts'
import { exceptionJson, isAbout, readException } from './exception.ts'
import type { ExceptionRecord, Excuse } from './exception.ts'
import { POLICY_LIMITS as LIMITS } from './limits.ts'
import type { Policy } from './policy.ts'
import { fieldsOf, GROUPS, SCHEMA } from './schema.ts'
import type { ReleaseFacts } from './schema.ts'

export const RECEIPT_TYPE = 'application/vnd.ggen.receipt+json'

/** One package of a receipt. */
export interface ReceiptPackage {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: string
  readonly root: ContentId
  readonly author: Principal
  readonly fact: FactId
  /** The signed fact of the release in base64; null when it was not here any more. */
  readonly statement: string | null
  /** Peers that sent bytes for it; empty when all of it was here. */
  readonly from: readonly string[]
  /** All that rules could read. */
  readonly facts: ReleaseFacts
  readonly verdict: ReleaseVerdict['verdict']
  readonly rules: readonly {
    readonly policy: string
    readonly code: string
    readonly outcome: Outcome
    readonly exception: Excuse | null
  }[]
}

/** A policy as it was in force. */
export interface ReceiptPolicy extends Pick<Policy, 'digest' | 'exceptionKeys' | 'exceptions' | 'rules'> {
  readonly name: string
  /** It is about releases of this registry alone; null: about all. */
  readonly registry: RegistryId | null
  /** It stands in a file of that machine, so that exceptions which the node itself signed are from its rules too. */
  readonly local: boolean
}

/**
 * What one install did and why it was allowed, in the word of the node that did it, docs/spec/policy.md section 5. Whoever
 * has it can judge again, offline: it holds the policies, the facts that the rules read, and the signed releases.
 */
export interface Receipt {
  readonly v: 1
  readonly by: Principal
  readonly time: number
  readonly program: string
  readonly policies: readonly ReceiptPolicy[]
  /** Those that somebody signed and that were needed. */
  readonly exceptions: readonly ExceptionRecord[]
  readonly packages: readonly ReceiptPackage[]
}

/** A receipt with its signature. */
export interface SignedReceipt {
  readonly payload: Uint8Array
  readonly receipt: Receipt
  readonly signature: Uint8Array
}

export function encodeReceipt(receipt: Receipt): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...receipt, exceptions: receipt.exceptions.map(exceptionJson) }))
}

/** Whether a rule of that package was not applied because of this exception, by what it says of itself. */
export function excuses(
  record: ExceptionRecord,
  one: Pick<ReceiptPackage, 'name' | 'registry' | 'rules' | 'version'>
): boolean {
  return one.rules.some(({ code, outcome, exception }) => {
    if (outcome !== 'excepted' || exception?.signed !== true) return false
    const { until, by, reason } = record.body
    const isThat = until === exception.until && by === exception.who && reason === exception.reason
    return isThat && isAbout(record, code, one)
  })
}

/** What the node signs. */
export function receiptSignedBytes(payload: Uint8Array): Uint8Array {
  return preAuthEncoding(RECEIPT_TYPE, payload)
}

/** A DSSE envelope as JSON: what other tools verify too. */
export function formatReceipt({ payload, receipt, signature }: SignedReceipt): string {
  const envelope = {
    payloadType: RECEIPT_TYPE,
    payload: base64pad.baseEncode(payload),
    signatures: [{ keyid: receipt.by, sig: base64pad.baseEncode(signature) }]
  }
  return `${JSON.stringify(envelope, null, 2)}\n`
}

/** Reads a receipt; the signature is NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseReceipt(text: string): SignedReceipt {
  if (text.length > LIMITS.receiptBytes) throw new RegistryError('LIMIT_EXCEEDED', 'the receipt is too large')
  try {
    const { payloadType, payload: encoded, signatures } = tableOf(JSON.parse(text))
    const [only, ...others] = listOf(signatures)
    if (payloadType !== RECEIPT_TYPE || others.length > 0) throw malformed('it is no receipt with one signature')
    const payload = base64pad.baseDecode(textOf(encoded))
    const signature = base64pad.baseDecode(textOf(tableOf(only)['sig']))
    const json = fromUtf8(payload)
    if (json === undefined) throw malformed('its payload is not UTF-8')
    return { payload, receipt: readReceipt(JSON.parse(json)), signature }
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause
    throw malformed('it does not have its shape', cause)
  }
}

function readReceipt(value: unknown): Receipt {
  const { v, by, time, program, policies, exceptions, packages } = tableOf(value)
  if (v !== 1 || typeof time !== 'number' || !Number.isSafeInteger(time)) throw malformed('it is of another version')
  return {
    v,
    by: parsePrincipal(textOf(by)),
    time,
    program: textOf(program),
    policies: listOf(policies, LIMITS.layers).map(readPolicy),
    exceptions: listOf(exceptions, LIMITS.signedExceptions).map(readException),
    packages: listOf(packages).map(readPackage)
  }
}

/** What the policy says is believed because of its digest, which whoever verifies makes anew. */
function readPolicy(value: unknown): ReceiptPolicy {
  const { name, digest, registry, local, rules, exceptions, exceptionKeys } = tableOf(value)
  if (typeof local !== 'boolean') throw malformed('it does not have its shape')
  const texts = (entry: unknown, keys: readonly string[]): Record<string, string> => {
    const table = tableOf(entry)
    return Object.fromEntries(keys.filter(key => table[key] !== undefined).map(key => [key, textOf(table[key])]))
  }
  const EXCEPTION = ['rule', 'registry', 'name', 'version', 'until', 'who', 'reason']
  return {
    name: textOf(name),
    digest: textOf(digest),
    registry: registry === null ? null : parseRegistryId(textOf(registry)),
    local,
    rules: listOf(rules, LIMITS.rules).map(
      rule => ({ when: undefined, ...texts(rule, ['id', 'when', 'require', 'message', 'action']) }) as never
    ),
    exceptions: listOf(exceptions, LIMITS.exceptions).map(
      entry => ({ name: undefined, version: undefined, ...texts(entry, EXCEPTION) }) as never
    ),
    exceptionKeys: listOf(exceptionKeys, LIMITS.exceptionKeys).map(key => parsePrincipal(textOf(key)))
  }
}

function readPackage(value: unknown): ReceiptPackage {
  const { registry, name, version, root, author, fact, statement, from, facts, verdict, rules } = tableOf(value)
  return {
    registry: parseRegistryId(textOf(registry)),
    name: parsePackageName(textOf(name)),
    version: textOf(version),
    root: parseContentId(textOf(root)),
    author: parsePrincipal(textOf(author)),
    fact: parseFactId(textOf(fact)),
    statement: statement === null ? null : textOf(statement),
    from: listOf(from).map(textOf),
    facts: readFacts(facts),
    verdict: oneOf(verdict, VERDICTS),
    rules: listOf(rules).map(entry => {
      const rule = tableOf(entry)
      return {
        policy: textOf(rule['policy']),
        code: textOf(rule['code']),
        outcome: oneOf(rule['outcome'], OUTCOMES),
        exception: rule['exception'] === null ? null : readExcuse(rule['exception'])
      }
    })
  }
}

const VERDICTS = ['allow', 'deny', 'warn'] as const
const OUTCOMES = ['audit', 'deny', 'excepted', 'passed', 'skipped', 'warn'] as const

function readExcuse(value: unknown): Excuse {
  const { holds, until, who, reason, signed } = tableOf(value)
  if (typeof holds !== 'boolean' || typeof signed !== 'boolean') throw malformed('an exception in it makes no sense')
  return { holds, until: textOf(until), who: textOf(who), reason: textOf(reason), signed }
}

/** Every field of the schema, of its type, and nothing else. */
function readFacts(value: unknown): ReleaseFacts {
  const table = tableOf(value)
  const facts = GROUPS.map(group => {
    const read = (entry: unknown): unknown => {
      const given = tableOf(entry)
      return Object.fromEntries(fieldsOf(group).map(([name, { type }]) => [name, fieldOf(type, given[name])]))
    }
    return [group, SCHEMA[group].list ? listOf(table[group]).map(read) : read(table[group])]
  })
  // Each group was read by the schema that the type is made of.
  return Object.fromEntries(facts) as ReleaseFacts
}

function fieldOf(type: string, value: unknown): unknown {
  const isRight =
    type === 'list<string>'
      ? Array.isArray(value) && value.every(entry => typeof entry === 'string')
      : type === 'bool' || type === 'string'
        ? typeof value === (type === 'bool' ? 'boolean' : 'string')
        : typeof value === 'number' && Number.isFinite(value)
  if (isRight) return value
  throw malformed('a fact in it is of another type')
}

/** The bytes of a release's signed fact. @throws RegistryError MALFORMED */
export function statementBytes(statement: string): Uint8Array {
  try {
    return base64pad.baseDecode(statement)
  } catch (cause) {
    throw malformed('a statement in it is not base64', cause)
  }
}

export function encodeStatement(bytes: Uint8Array): string {
  return base64pad.baseEncode(bytes)
}

/** What two machines must have equal to have installed the same for the same reasons: name, content, policies. */
export function packageKey({ registry, name }: Pick<ReceiptPackage, 'name' | 'registry'>): string {
  return `${registry} ${name}`
}

/** A short name for the file of a receipt. */
export function receiptName(time: number, digest: Uint8Array): string {
  return `${new Date(time).toISOString().replaceAll(/[:.]/g, '-')}-${toHex(digest).slice(0, 8)}.json`
}

function oneOf<T extends string>(value: unknown, known: readonly T[]): T {
  const found = known.find(each => each === value)
  if (found === undefined) throw malformed('a verdict in it is none')
  return found
}

function tableOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('it does not have its shape')
  return value as Readonly<Record<string, unknown>>
}

/** Without a bound of its own a list is as long as the file lets it be. */
function listOf(value: unknown, bound = Number.POSITIVE_INFINITY): readonly unknown[] {
  if (!Array.isArray(value) || value.length > bound) throw malformed('it does not have its shape')
  return value
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw malformed('it does not have its shape')
  return value
}

function malformed(why: string, cause?: unknown): RegistryError {
  return new RegistryError('MALFORMED', `the receipt cannot be read: ${why}`, { cause })
}
