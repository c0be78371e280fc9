import { fromHex, toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import { parseRegistryId, toLink } from '../cid.ts'
import type { RegistryId } from '../cid.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { RegistryError } from '../errors.ts'
import { preAuthEncoding, recordOf } from '../fact.ts'
import { textFault } from '../manifest-text.ts'
import { ecosystemOf, parsePackageName } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Version } from '../version.ts'
import { POLICY_LIMITS as LIMITS } from './limits.ts'
import { endOfDay, isDay } from './day.ts'

/** What is known of somebody who answers for a release that a rule refuses. */
export interface Excuse {
  /** False: it has ended. */
  readonly holds: boolean
  readonly until: string
  readonly who: string
  readonly reason: string
  readonly signed: boolean
}

/**
 * Somebody's word that a rule is not applied to a package for a time, docs/spec/policy.md section 4:
 *
 *   {v: 1, rule: text, registry: link, package: text or null, version: text or null, until: text, reason: text, by: key, time: ms}
 *
 * It names the registry by its id: what an alias or a name alone means is for others to change.
 */
export interface SignedException {
  readonly rule: string
  readonly registry: RegistryId
  /** Null: every package of the registry. */
  readonly package: PackageName | null
  /** Null: every version. */
  readonly version: Version | null
  /** The last day on which it holds, in UTC. */
  readonly until: string
  readonly reason: string
  readonly by: Principal
  readonly time: number
}

/** An exception with its signature, as it stands in a project. */
export interface ExceptionRecord {
  readonly body: SignedException
  readonly signature: Uint8Array
}

/** What its author signs. */
export function exceptionSignedBytes(body: SignedException): Uint8Array {
  const { rule, registry, package: name, version, until, reason, by, time } = body
  const record = { v: 1, rule, registry: toLink(registry), package: name, version, until, reason, by, time }
  return preAuthEncoding('application/vnd.ggen.policy-exception+cbor', encodeCbor(record))
}

const FIELDS = ['rule', 'registry', 'package', 'version', 'until', 'reason', 'by', 'time', 'signature'] as const

/**
 * The signed exceptions of a project as they stand in its file: JSON, so that a review of a change can read them. The
 * signature is over the fields and NOT checked here.
 *
 *   {"version": 1, "exceptions": [{"rule": …, "registry": …, "package": …, …, "signature": hex}]}
 *
 * @throws RegistryError POLICY_INVALID
 */
export function parseExceptions(text: string, file: string): readonly ExceptionRecord[] {
  const bad = (why: string, cause?: unknown): RegistryError =>
    new RegistryError('POLICY_INVALID', `${file}: ${why}`, {
      cause,
      next: `take the entry out of ${file}, and write it anew with --allow`
    })
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch (cause) {
    throw bad('it is not JSON', cause)
  }
  const { version, exceptions } = Object(raw) as { version?: unknown; exceptions?: unknown }
  if (version !== 1 || !Array.isArray(exceptions)) throw bad('it is no list of exceptions of version 1')
  if (exceptions.length > LIMITS.signedExceptions) throw bad(`it has more than ${LIMITS.signedExceptions} exceptions`)
  return exceptions.map((entry: unknown, i) => {
    try {
      return readException(entry)
    } catch (cause) {
      throw bad(`exception ${i + 1} does not have its shape`, cause)
    }
  })
}

export function formatExceptions(records: readonly ExceptionRecord[]): string {
  return `${JSON.stringify({ version: 1, exceptions: records.map(exceptionJson) }, null, 2)}\n`
}

/** One of them as it stands in files. */
export function exceptionJson({ body, signature }: ExceptionRecord): Readonly<Record<string, number | string | null>> {
  return { ...body, signature: toHex(signature) }
}

/**
 * Whether it holds at a time. Attack: one that says that it will be signed years from now, and holds for a year from then: what was
 * signed in the future was not signed yet.
 */
export function holdsAt({ until, time }: Pick<SignedException, 'time' | 'until'>, now: number): boolean {
  return endOfDay(until) > now && time <= now + LIMITS.exceptionSkewMs
}

/** Whether it is about that rule and that release. Attack: one for a package of a registry, in the place of one of the same name elsewhere. */
export function isAbout(
  { body }: ExceptionRecord,
  rule: string,
  { registry, name, version }: { readonly registry: RegistryId; readonly name: PackageName; readonly version: string }
): boolean {
  return (
    body.rule === rule &&
    body.registry === registry &&
    (body.package === null || body.package === name) &&
    (body.version === null || body.version === version)
  )
}

/** Reads one as it stands in files; its signature is NOT checked. @throws RegistryError MALFORMED */
export function readException(entry: unknown): ExceptionRecord {
  const record = recordOf(entry, FIELDS)
  const name = record.package === null ? null : parsePackageName(textOf(record.package, LIMITS.textChars))
  const body: SignedException = {
    rule: textOf(record.rule, LIMITS.idChars),
    registry: parseRegistryId(textOf(record.registry, LIMITS.textChars)),
    package: name,
    version: record.version === null ? null : versionOf(record.version, name),
    until: textOf(record.until, LIMITS.textChars),
    reason: textOf(record.reason, LIMITS.reasonChars),
    by: parsePrincipal(textOf(record.by, LIMITS.textChars)),
    time: Number(record.time)
  }
  assertSound(body)
  const signature = fromHex(textOf(record.signature, LIMITS.textChars))
  if (signature?.length !== 64) throw new RegistryError('MALFORMED', 'a signature has 64 bytes')
  return { body, signature }
}

/**
 * Refuses an exception that nobody may sign: for ever, without a reason, to a day that there is not.
 * @throws RegistryError MALFORMED
 */
export function assertSound({ until, reason, time }: SignedException): void {
  const malformed = (why: string): RegistryError => new RegistryError('MALFORMED', `an exception ${why}`)
  if (!isDay(until)) throw malformed(`ends on a day such as 2026-12-31, not ${JSON.stringify(until.slice(0, 40))}`)
  if (!Number.isSafeInteger(time) || time < 0) throw malformed('says when it was signed')
  if (endOfDay(until) - time > LIMITS.exceptionMs) throw malformed('holds for a year at most')
  const fault = textFault(reason, LIMITS.reasonChars)
  if (fault !== undefined) throw malformed(`gives a reason, and this one ${fault}`)
}

function versionOf(value: unknown, name: PackageName | null): Version {
  if (name === null) throw new RegistryError('MALFORMED', 'a version is one of a package')
  return orderingOf(ecosystemOf(name)).parseVersion(textOf(value, LIMITS.textChars))
}

function textOf(value: unknown, maxChars: number): string {
  if (typeof value === 'string' && value !== '' && value.length <= maxChars) return value
  throw new RegistryError('MALFORMED', 'an exception holds texts of bounded length')
}
