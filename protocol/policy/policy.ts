import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { isRegistryError } from '../errors.ts'
import { textFault } from '../manifest-text.ts'
import { nearest } from '../nearest.ts'
import { ecosystemOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import { parseAlias, parseReference } from '../reference.ts'
import { orderingOf } from '../version.ts'
import { isDay } from './day.ts'
import { POLICY_LIMITS as LIMITS } from './limits.ts'
import { isPreset, PARAMETERS, PRESETS, presetRules } from './presets.ts'
import type { Preset, PresetParameters } from './presets.ts'
import { ACTIONS, invalid } from './rule.ts'
import type { Action, Rule } from './rule.ts'

/** A package that a rule is not applied to, for a time. */
export interface PolicyException {
  readonly rule: string
  /** The alias or the id of its registry. */
  readonly registry: string
  /** Undefined: every package of the registry. */
  readonly name: PackageName | undefined
  /** Undefined: of every version. */
  readonly version: string | undefined
  /** The last day on which it holds, in UTC: `2026-12-31`. */
  readonly until: string
  /** Who answers for it. */
  readonly who: string
  readonly reason: string
}

export interface Policy {
  readonly preset: Preset | undefined
  readonly rules: readonly Rule[]
  readonly exceptions: readonly PolicyException[]
  /** Whose signed exceptions from these rules hold, beside those of the node's own keys. */
  readonly exceptionKeys: readonly Principal[]
  /** Of the policy of a private registry: `all`, it is about everything that its members install. */
  readonly reach: Reach
  /** A registry that was compared with nobody for so many hours is called stale; `strict` refuses what it has. */
  readonly maxStaleHours: number
  /** sha2-256 in hex over what the policy says: equal policies have equal ones, however their files are laid out. */
  readonly digest: string
}

/** What the policy of a registry is about: its own releases, or, in a private one, everything that its members install. */
export type Reach = 'all' | 'registry'

type Table = Readonly<Record<string, unknown>>

const TOP = [
  'version',
  'preset',
  'without',
  'auditors',
  'max-staleness',
  'exception-keys',
  'reach',
  'rule',
  'exception'
] as const
const RULE = ['id', 'when', 'require', 'message', 'action', 'exceptions'] as const
const NESTED = ['package', 'who', 'until', 'reason'] as const
const EXCEPTION = ['rule', ...NESTED] as const

/** The policy that a preset is by itself. */
export function presetPolicy(preset: Preset): Policy {
  const maxStaleHours = PARAMETERS.staleHours
  return sealed({
    preset,
    rules: presetRules(preset),
    exceptions: [],
    exceptionKeys: [],
    reach: 'registry',
    maxStaleHours
  })
}

/**
 * Reads what a `policy.toml` says, docs/spec/policy.md section 1. Strict: a field that means nothing is a rule that somebody
 * believes to be in force. Whether the expressions mean anything is found out when they are compiled.
 * @throws RegistryError POLICY_INVALID
 */
export function parsePolicy(value: unknown, file: string): Policy {
  const top = tableOf(value, file, TOP)
  if (top['version'] !== 1) {
    throw invalid(
      `${file}: version ${JSON.stringify(top['version'] ?? null)} is not known`,
      'begin it with version = 1'
    )
  }
  const preset = readPreset(top['preset'], file)
  const parameters = readParameters(top, preset, file)
  const own = listOf(top['rule'], `${file}: rule`, LIMITS.rules).map(raw => readRule(raw, file))
  const rules = [...withoutSome(preset, top['without'], { file, parameters }), ...own.map(({ rule }) => rule)]
  const ids = rules.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined) {
    const isPreset = preset !== undefined && presetRules(preset).some(({ id }) => id === twice)
    const next = isPreset ? `give yours another id, or leave the other one out: without = ["${twice}"]` : undefined
    throw invalid(`${file}: two rules are called ${twice}`, next)
  }
  if (rules.length > LIMITS.rules) throw invalid(`${file} has more than ${LIMITS.rules} rules`)
  const listed = listOf(top['exception'], `${file}: exception`, LIMITS.exceptions).map(raw => {
    const table = tableOf(raw, `${file}: an exception`, EXCEPTION)
    return readException(table, textIn(table, 'rule', LIMITS.idChars, `${file}: an exception`), file)
  })
  const exceptions = [...own.flatMap(({ exceptions: nested }) => nested), ...listed]
  const stray = exceptions.find(({ rule }) => !ids.includes(rule))
  if (stray !== undefined) throw invalid(`${file}: an exception is from ${stray.rule}, which is no rule here`)
  if (exceptions.length > LIMITS.exceptions) throw invalid(`${file} has more than ${LIMITS.exceptions} exceptions`)
  const reach = readReach(top['reach'], file)
  const exceptionKeys = readKeys(top['exception-keys'], file)
  return sealed({ preset, rules, exceptions, exceptionKeys, reach, maxStaleHours: parameters.staleHours })
}

function sealed(policy: Omit<Policy, 'digest'>): Policy {
  return { ...policy, digest: policyDigest(policy) }
}

/** The digest of what a policy says of a release that it is about. */
export function policyDigest({
  rules,
  exceptions,
  exceptionKeys
}: Pick<Policy, 'exceptionKeys' | 'exceptions' | 'rules'>): string {
  const record = {
    v: 1,
    rules: rules.map(rule => ({ ...rule, when: rule.when ?? null })),
    exceptions: exceptions.map(entry => ({ ...entry, name: entry.name ?? null, version: entry.version ?? null })),
    exceptionKeys: [...exceptionKeys]
  }
  return toHex(sha256(encodeCbor(record)))
}

function readPreset(value: unknown, file: string): Preset | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && isPreset(value)) return value
  throw invalid(`${file}: preset ${shown(value)} is not known`, `choose one of ${Object.keys(PRESETS).join(', ')}`)
}

function readReach(value: unknown, file: string): Reach {
  if (value === undefined || value === 'registry') return 'registry'
  if (value === 'all') return value
  throw invalid(`${file}: reach ${shown(value)} is neither registry nor all`)
}

/** Attack: a number that weakens a rule which is not there is one that somebody believes to strengthen it. */
function readParameters(top: Table, preset: Preset | undefined, file: string): PresetParameters {
  const { auditors = PARAMETERS.auditors, 'max-staleness': age } = top
  if (top['auditors'] !== undefined && preset !== 'strict') {
    throw invalid(
      `${file}: auditors is a number of the preset strict`,
      'say preset = "strict", or write a rule of your own'
    )
  }
  const isCount = typeof auditors === 'number' && Number.isInteger(auditors)
  if (!isCount || auditors < 1 || auditors > LIMITS.auditors) {
    throw invalid(`${file}: auditors is a whole number from 1 to ${LIMITS.auditors}`)
  }
  const [, count, unit] = /^([1-9][0-9]{0,4})([hd])$/.exec(typeof age === 'string' ? age : '') ?? []
  if (age !== undefined && count === undefined) {
    throw invalid(`${file}: max-staleness ${shown(age)} is no time`, 'write it as "24h" or "3d"')
  }
  const staleHours = count === undefined ? PARAMETERS.staleHours : Number(count) * (unit === 'd' ? 24 : 1)
  return { auditors, staleHours }
}

function withoutSome(
  preset: Preset | undefined,
  value: unknown,
  { file, parameters }: { readonly file: string; readonly parameters: PresetParameters }
): readonly Rule[] {
  const rules = preset === undefined ? [] : presetRules(preset, parameters)
  const left = listOf(value, `${file}: without`, LIMITS.rules)
  const known = rules.map(({ id }) => id)
  const stray = left.find(id => typeof id !== 'string' || !known.includes(id))
  if (stray !== undefined) {
    throw invalid(
      `${file}: without names ${shown(stray)}, which is no rule of the preset`,
      `known: ${known.join(', ')}`
    )
  }
  return rules.filter(({ id }) => !left.includes(id))
}

function readRule(raw: unknown, file: string): { rule: Rule; exceptions: readonly PolicyException[] } {
  const table = tableOf(raw, `${file}: a rule`, RULE)
  const id = textIn(table, 'id', LIMITS.idChars, `${file}: a rule`)
  const where = `${file}: rule ${id}`
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id)) {
    throw invalid(`${where}: an id is made of a-z and 0-9, joined by single "-"`)
  }
  const { when, action = 'deny', exceptions } = table
  if (!isAction(action)) throw invalid(`${where}: action ${shown(action)} is none of ${ACTIONS.join(', ')}`)
  const rule: Rule = {
    id,
    when: when === undefined ? undefined : textIn(table, 'when', LIMITS.expressionChars, where),
    require: textIn(table, 'require', LIMITS.expressionChars, where),
    message: table['message'] === undefined ? `${id} does not hold` : messageIn(table, 'message', where),
    action
  }
  const nested = listOf(exceptions, `${where}: exceptions`, LIMITS.exceptions)
  return { rule, exceptions: nested.map(entry => readException(tableOf(entry, where, NESTED), id, file)) }
}

function readException(table: Table, rule: string, file: string): PolicyException {
  const where = `${file}: an exception from ${rule}`
  const reference = textIn(table, 'package', LIMITS.textChars, where)
  return {
    rule,
    ...readPackage(reference, where),
    until: readDay(table['until'], where),
    who: messageIn(table, 'who', where, LIMITS.whoChars),
    reason: messageIn(table, 'reason', where, LIMITS.reasonChars)
  }
}

/** Attack: an exception for a name alone would cover whatever registry that name comes from one day. */
function readPackage(text: string, where: string): Pick<PolicyException, 'name' | 'registry' | 'version'> {
  try {
    // `acme:*`
    if (text.endsWith(':*')) return { registry: parseAlias(text.slice(0, -2)), name: undefined, version: undefined }
    const { alias, name, range } = parseReference(text)
    if (alias === undefined) throw invalid(`${where}: ${text} names no registry`, `write ALIAS:${text}`)
    const version = range === undefined ? undefined : orderingOf(ecosystemOf(name)).parseVersion(range)
    return { registry: alias, name, version }
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code === 'POLICY_INVALID') throw cause
    throw invalid(`${where}: package: ${cause.message}`, undefined, cause)
  }
}

/** A day of TOML, or the same as a text; a time of a day would be taken for all of it. @throws RegistryError POLICY_INVALID */
function readDay(value: unknown, where: string): string {
  const text = value instanceof Date ? value.toISOString() : value
  if (typeof text === 'string' && isDay(text)) return text
  throw invalid(`${where}: until ${shown(value)} is not a day`, 'write it as 2026-12-31')
}

function readKeys(value: unknown, file: string): readonly Principal[] {
  return listOf(value, `${file}: exception-keys`, LIMITS.exceptionKeys).map(key => {
    try {
      if (typeof key === 'string') return parsePrincipal(key)
    } catch (cause) {
      if (!isRegistryError(cause)) throw cause
    }
    throw invalid(`${file}: exception-keys: ${shown(key)} is not a key`, 'ggen-node key show prints yours')
  })
}

function isAction(value: unknown): value is Action {
  return (ACTIONS as readonly unknown[]).includes(value)
}

function tableOf(value: unknown, where: string, known: readonly string[]): Table {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) {
    throw invalid(`${where} must be a table`)
  }
  const stray = Object.keys(value).find(key => !known.includes(key))
  if (stray === undefined) return value as Table
  const [near] = nearest(stray, known)
  throw invalid(
    `${where}: ${shown(stray)} means nothing here`,
    near === undefined ? `known: ${known.join(', ')}` : `perhaps you meant ${near}`
  )
}

function listOf(value: unknown, where: string, bound: number): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw invalid(`${where} must be a list`)
  if (value.length > bound) throw invalid(`${where} has more than ${bound} entries`)
  return value
}

function textIn(table: Table, key: string, maxChars: number, where: string): string {
  const value = table[key]
  if (typeof value !== 'string' || value.trim() === '') throw invalid(`${where}: ${key} must be a text`)
  // It is shown nowhere, and in no record: a policy has a digest.
  if (value.startsWith('\ufeff'))
    throw invalid(`${where}: ${key} begins with a byte order mark`, 'take U+FEFF out of it')
  if (value.length > maxChars) throw invalid(`${where}: ${key} has more than ${maxChars} characters`)
  return value
}

/** A text that is shown to people: nothing in it moves a cursor or turns the reading direction. */
function messageIn(table: Table, key: string, where: string, maxChars: number = LIMITS.messageChars): string {
  const text = textIn(table, key, maxChars, where)
  const fault = textFault(text, maxChars)
  if (fault !== undefined) throw invalid(`${where}: ${key} ${fault}`)
  return text
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing'
}
