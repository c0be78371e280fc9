import { isAbsolute, join, resolve } from 'node:path'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { compilePolicy } from '../protocol/policy/evaluate.ts'
import { presetPolicy } from '../protocol/policy/policy.ts'
import type { Policy, PolicyException, Reach } from '../protocol/policy/policy.ts'
import { DEFAULT_PRESET, isPreset, presetRules } from '../protocol/policy/presets.ts'
import type { Preset } from '../protocol/policy/presets.ts'
import type { Rule } from '../protocol/policy/rule.ts'
import { homeExists } from './home.ts'
import { homePath } from './config.ts'
import { NODE_POLICY, parsePolicyText, PROJECT_POLICY, readPolicyFile, readPolicyText } from './policy-files.ts'
import { codeOf, toWriteError } from '../storage/disk-errors.ts'
import { writeDurably } from '../storage/durable.ts'
import { Projects } from './project-store.ts'

/** What is different between two policies. */
export interface PolicyDiff {
  readonly before: string
  readonly after: string
  readonly added: readonly Rule[]
  readonly removed: readonly Rule[]
  readonly changed: readonly { readonly before: Rule; readonly after: Rule }[]
  readonly exceptions: {
    readonly before: number
    readonly after: number
    readonly added: readonly PolicyException[]
    readonly removed: readonly PolicyException[]
  }
  /** Whose signed exceptions hold by one of them alone. */
  readonly exceptionKeys: { readonly added: readonly Principal[]; readonly removed: readonly Principal[] }
  readonly maxStaleHours: { readonly before: number; readonly after: number }
  readonly reach: { readonly before: Reach; readonly after: Reach }
}

/** Compares two policies, rule by rule. Needs no node. */
export async function diffPolicies(before: string, after: string): Promise<PolicyDiff> {
  const [a, b] = [await policyCalled(before), await policyCalled(after)]
  const old = new Map(a.rules.map(rule => [rule.id, rule]))
  const fresh = new Map(b.rules.map(rule => [rule.id, rule]))
  return {
    before: a.digest,
    after: b.digest,
    added: b.rules.filter(({ id }) => !old.has(id)),
    removed: a.rules.filter(({ id }) => !fresh.has(id)),
    changed: a.rules.flatMap(rule => {
      const other = fresh.get(rule.id)
      return other === undefined || isSame(rule, other) ? [] : [{ before: rule, after: other }]
    }),
    exceptions: {
      before: a.exceptions.length,
      after: b.exceptions.length,
      ...missing(a.exceptions, b.exceptions)
    },
    exceptionKeys: missing(a.exceptionKeys, b.exceptionKeys),
    maxStaleHours: { before: a.maxStaleHours, after: b.maxStaleHours },
    reach: { before: a.reach, after: b.reach }
  }
}

/** Attack: a change that lets somebody else make exceptions, or makes another one, beside rules that are all the same. */
function missing<T>(
  before: readonly T[],
  after: readonly T[]
): { readonly added: readonly T[]; readonly removed: readonly T[] } {
  const [old, fresh] = [before, after].map(list => new Set(list.map(one => JSON.stringify(one))))
  return {
    added: after.filter(one => old?.has(JSON.stringify(one)) !== true),
    removed: before.filter(one => fresh?.has(JSON.stringify(one)) !== true)
  }
}

function isSame(a: Rule, b: Rule): boolean {
  return a.when === b.when && a.require === b.require && a.action === b.action && a.message === b.message
}

/** A preset by its name, or the policy in a file, whose rules must mean something. */
async function policyCalled(text: string): Promise<Policy> {
  if (isPreset(text)) return presetPolicy(text)
  const policy = await readPolicyFile({ path: resolve(text), name: text, followLinks: true })
  if (policy === undefined) {
    throw new RegistryError('UNKNOWN_FILE', `${text} is no file and no preset`, {
      next: 'name a policy.toml, or one of open, standard and strict'
    })
  }
  compilePolicy(text, policy)
  return policy
}

/** Where a new policy goes: to the node of a data directory, or to a project. */
export type PolicyPlace = { readonly home: string | undefined } | { readonly project: string }

/** Writes a policy to begin with. @throws RegistryError ALREADY_EXISTS | NO_REGISTRY */
export async function initPolicy(preset: Preset, place: PolicyPlace): Promise<{ readonly file: string }> {
  const text = newPolicy(preset)
  if ('project' in place) {
    if (!isAbsolute(place.project)) throw new RegistryError('INTERNAL', 'a project is an absolute path')
    const file = join(place.project, PROJECT_POLICY)
    const store = new Projects(() => Date.now()).open(place.project)
    await store.exclusively(() => writeNew(file, text, 0o644), {
      signal: new AbortController().signal,
      onWait: () => {}
    })
    return { file }
  }
  const home = homePath(place.home)
  if (!(await homeExists(home))) {
    throw new RegistryError('NO_REGISTRY', `${home} is no data directory yet`, { next: 'ggen-node init' })
  }
  const file = join(home, NODE_POLICY)
  await writeNew(file, text, 0o600)
  return { file }
}

/** A rule that is not applied to a package for a time, and who answers for that. */
export interface Exemption {
  readonly rule: string
  /** `acme:left-pad@1.0.0` */
  readonly reference: string
  readonly who: string
  /** Such as `2026-12-31`. */
  readonly until: string
  readonly reason: string
}

/**
 * Adds exemptions to the policy of a node or a project, below what stands there. Nothing is written unless the whole file means
 * something afterwards.
 * @throws RegistryError POLICY_INVALID
 */
export async function exempt(place: PolicyPlace, exemptions: readonly Exemption[]): Promise<{ readonly file: string }> {
  const isProject = 'project' in place
  const file = isProject ? join(place.project, PROJECT_POLICY) : join(homePath(place.home), NODE_POLICY)
  const before = await readPolicyText({ path: file, name: file, followLinks: !isProject })
  const quoted = (text: string): string => JSON.stringify(text)
  const added = exemptions.map(
    ({ rule, reference, who, until, reason }) =>
      `\n[[exception]]\nrule = ${quoted(rule)}\npackage = ${quoted(reference)}\nwho = ${quoted(who)}\nuntil = ${quoted(until)}\nreason = ${quoted(reason)}\n`
  )
  const text = `${before ?? `version = 1\npreset = "${DEFAULT_PRESET}"`}\n${added.join('')}`
  compilePolicy(file, parsePolicyText(text, file))
  if (Buffer.byteLength(text) > LIMITS.policy.fileBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `${file} would be too large`, { next: 'take out what has ended' })
  try {
    await writeDurably(file, text, { mode: isProject ? 0o644 : 0o600 })
  } catch (cause) {
    throw toWriteError(cause, file)
  }
  return { file }
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeDurably(file, text, { mode, exclusive: true })
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw toWriteError(cause, file)
    throw new RegistryError('ALREADY_EXISTS', `${file} is there already`, { cause, next: 'edit it' })
  }
}

function newPolicy(preset: Preset): string {
  const rules = presetRules(preset).flatMap(({ id, when, require: required, action }) => [
    `#   ${id} (${action})${when === undefined ? '' : `, where ${when}`}`,
    `#     ${required}`
  ])
  return `# What may be installed: every rule must hold. docs/spec/policy.md says what rules can read.
version = 1
preset = "${preset}"
# Its rules${rules.length === 0 ? ': none' : ''}
${rules.map(line => `${line}\n`).join('')}
# Leave rules of the preset out:
# without = ["release-age"]

# One more rule:
# [[rule]]
# id = "licences"
# require = 'licence.anyOf(["MIT", "Apache-2.0"])'
# message = "only MIT and Apache-2.0 here"

# An exception from a rule, for a time:
# [[exception]]
# rule = "release-age"
# package = "acme:left-pad@1.0.0"
# who = "ann@example.org"
# until = 2026-12-31
# reason = "audited by hand"
`
}
