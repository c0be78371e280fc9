import { Environment } from '@marcbachmann/cel-js'
import type { ASTNode } from '@marcbachmann/cel-js'
import { isRegistryError, messageOf } from '../errors.ts'
import { isSatisfied, parseLicence } from './licence.ts'
import type { Licence } from './licence.ts'
import { POLICY_LIMITS as LIMITS } from './limits.ts'
import { invalid } from './rule.ts'
import { fieldsOf, FUNCTIONS, GROUPS, SCHEMA } from './schema.ts'
import type { Group, ReleaseFacts } from './schema.ts'

/** An expression that is known to give true or false, and to end soon. */
export interface Condition {
  readonly text: string
  /** The facts that it reads: `age.hours`, `attestations`. */
  readonly reads: readonly string[]
  /** How many steps it takes at most, of whatever is judged. */
  readonly steps: number
  /** @throws whatever the library throws when it can't be evaluated */
  evaluate(context: Context): unknown
}

/** The facts of one release as the library takes them. Made once, read by every rule. */
export type Context = Readonly<Record<string, unknown>>

/** What the library checks the type of a value by: an object of a group is an instance of the group's own class. */
class Facts {
  constructor(fields: Readonly<Record<string, unknown>>) {
    Object.assign(this, fields)
  }
}

const CLASSES = Object.fromEntries(GROUPS.map(group => [group, class extends Facts {}])) as Readonly<
  Record<Group, typeof Facts>
>

/**
 * The one place that knows the library for CEL. It is loaded by whoever judges something, never at a start.
 *
 * Bounds: an expression is short, shallow, and calls nothing but the functions of the schema, of which none can be made to run
 * long. Attack: `matches` with a pattern that never ends on a text that a stranger wrote. Lists hold at most `listed` entries,
 * walks over lists lie in one another at most `nesting` deep, and nothing makes lists or texts longer than they were.
 */
export class Engine {
  readonly #environment = environment()

  /**
   * Checks types at once, so that no rule is found to mean nothing when it is needed.
   * @throws RegistryError POLICY_INVALID when it is not an expression, reads what is not there, or is no boolean
   */
  condition(text: string, where: string): Condition {
    try {
      const parsed = this.#environment.parse(text)
      const walk = walked(parsed.ast, where)
      const { valid, type, error } = parsed.check()
      if (!valid) throw invalid(`${where}: ${oneLine(error)}`, undefined, error)
      assertBounded(parsed.ast, where)
      // Attack: a rule that gives a text or a number denies nothing in a program that looks for false.
      if (type !== 'bool') throw invalid(`${where} gives ${type ?? 'nothing'}, and a rule must give true or false`)
      return { text, reads: walk, steps: stepsOf(parsed.ast), evaluate: context => parsed(context) as unknown }
    } catch (cause) {
      if (isRegistryError(cause)) throw cause
      throw invalid(`${where}: ${oneLine(cause)}`, undefined, cause)
    }
  }
}

function environment(): Environment {
  const env = new Environment({
    unlistedVariablesAreDyn: false,
    limits: {
      maxAstNodes: LIMITS.astNodes,
      maxDepth: LIMITS.astDepth,
      maxListElements: LIMITS.listElements,
      maxMapEntries: LIMITS.callArguments,
      maxCallArguments: LIMITS.callArguments
    }
  })
  for (const group of GROUPS) {
    const { type, list } = SCHEMA[group]
    const fields = Object.fromEntries(fieldsOf(group).map(([name, field]) => [name, field.type]))
    env.registerType(type, { ctor: CLASSES[group], fields })
    env.registerVariable(group, list ? `list<${type}>` : type)
  }
  env.registerFunction('issuers(list<Attestation>): int', (list: readonly { readonly issuer: string }[]) =>
    BigInt(new Set(list.map(({ issuer }) => issuer)).size)
  )
  env.registerFunction(
    'Licence.anyOf(list<string>): bool',
    (licence: ReleaseFacts['licence'], accepted: readonly string[]) =>
      licence.valid && isSatisfied(readLicence(licence), new Set(accepted))
  )
  return env
}

/**
 * Read once of each release. Attack: a rule that asks in a walk within a walk, about a licence that somebody wrote to be as long as may be.
 * @throws RegistryError INVALID_LICENCE
 */
function readLicence(licence: ReleaseFacts['licence']): Licence {
  const known = READ.get(licence)
  if (known !== undefined) return known
  const read = parseLicence(licence.concluded === '' ? licence.expression : licence.concluded)
  READ.set(licence, read)
  return read
}

const READ = new WeakMap<ReleaseFacts['licence'], Licence>()

/** Facts as the library takes them: whole numbers as bigint, lists and texts no longer than what the bounds reckon with. */
export function contextOf(facts: ReleaseFacts): Context {
  return Object.fromEntries(
    GROUPS.map(group => {
      const value: unknown = facts[group]
      return [
        group,
        Array.isArray(value) ? value.slice(0, LIMITS.listed).map(one => bound(group, one)) : bound(group, value)
      ]
    })
  )
}

function bound(group: Group, value: unknown): Facts {
  const given = Object(value) as Readonly<Record<string, unknown>>
  const fields: Record<string, unknown> = {}
  for (const [name, { type }] of fieldsOf(group)) fields[name] = native(type, given[name])
  return new CLASSES[group](fields)
}

function native(type: string, value: unknown): unknown {
  if (type === 'int') return BigInt(Math.trunc(Number(value)))
  if (type === 'string') return String(value).slice(0, LIMITS.textChars)
  if (type === 'list<string>')
    return (value as readonly string[]).slice(0, LIMITS.listed).map(text => text.slice(0, LIMITS.textChars))
  return value
}

/** Refuses what a rule may not do, and says which facts it reads. */
function walked(root: ASTNode, where: string): readonly string[] {
  const reads = new Set<string>()
  const visit = (node: ASTNode, bindings: ReadonlySet<string>, nesting: number): void => {
    const path = pathOf(node)
    if (path !== undefined) {
      const [head = ''] = path.split('.')
      if (!bindings.has(head)) reads.add(path)
      return
    }
    const call = callOf(node)
    if (call === undefined) {
      for (const child of childrenOf(node)) visit(child, bindings, nesting)
      return
    }
    if (!Object.hasOwn(FUNCTIONS, call.name)) {
      throw invalid(`${where} calls ${call.name}, which a rule may not`, `known: ${Object.keys(FUNCTIONS).join(', ')}`)
    }
    if (call.name === 'anyOf') checkLicences(call.args, where)
    if (call.receiver !== undefined) visit(call.receiver, bindings, nesting)
    const variable = MACROS.has(call.name) && call.args[0]?.op === 'id' ? call.args[0].args : undefined
    if (variable === undefined) {
      for (const arg of call.args) visit(arg, bindings, nesting)
      return
    }
    if (nesting >= LIMITS.nesting) {
      throw invalid(`${where} walks lists more than ${LIMITS.nesting} deep in one another`)
    }
    for (const arg of call.args.slice(1)) visit(arg, new Set([...bindings, variable]), nesting + 1)
  }
  visit(root, new Set(), 0)
  return [...reads].toSorted()
}

/** What the library knows of a node once it was checked. Where it says nothing, nothing is let through. */
interface CheckedType {
  readonly name: string
  readonly kind: string
  readonly valueType?: CheckedType
}

/**
 * Refuses what makes a value larger than the facts and the text of the rule are. Attack: a policy that comes with a repository, or of a
 * registry of strangers, which says `[attestations].map(l, l + l + l + l).map(l, …)`: seven such words fill the memory of whoever
 * reads it. So `+` adds numbers alone, and no list holds lists: then nothing that a walk gives can be walked over further down.
 */
function assertBounded(node: ASTNode, where: string): void {
  const { checkedType: type } = node as { readonly checkedType?: CheckedType }
  if (node.op === '+' && !NUMBERS.has(type?.name ?? '')) {
    throw invalid(`${where} adds what are no numbers, which a rule may not`)
  }
  if (node.op === 'map') throw invalid(`${where} makes a map, which a rule may not`)
  if (type?.kind === 'list' && MANY.has(type.valueType?.kind ?? 'dyn')) {
    throw invalid(`${where} makes a list of lists, which a rule may not`)
  }
  for (const child of childrenOf(node)) assertBounded(child, where)
}

/**
 * A node is a step, and so is the field of a variable; what looks at each entry of a list is as many as it can have, within one another
 * many times so many. A function is as many as it takes the time of, at worst.
 */
function stepsOf(node: ASTNode): number {
  if (pathOf(node) !== undefined) return 1
  const call = callOf(node)
  if (call !== undefined && MACROS.has(call.name)) {
    const { receiver, args } = call
    const over = receiver === undefined ? LIMITS.listed : entriesOf(receiver)
    return 1 + (receiver === undefined ? 0 : stepsOf(receiver)) + over * sum(args.slice(1).map(stepsOf))
  }
  const below = childrenOf(node)
  const own = call === undefined ? 1 : stepsOfCall(call)
  // An equation, `in`, `issuers`: each entry of the lists is looked at.
  return own + sum(below.map(stepsOf)) + sum(node.op === 'list' ? [] : below.map(entriesOf))
}

/** Attack: forty short rules, each of which measures or searches texts as long as may be, 4,096 times. */
function stepsOfCall({ name, receiver, args }: Call): number {
  const [of] = receiver === undefined ? args : [receiver]
  switch (name) {
    case 'size':
      return of !== undefined && entriesOf(of) > 0 ? 1 : Math.ceil(charsOf(of) / 4)
    case 'contains':
      return Math.ceil(charsOf(of) / 4)
    case 'startsWith':
    case 'endsWith':
      return Math.ceil(charsOf(args.at(-1)) / 16)
    case 'anyOf':
      return LIMITS.licenceSteps
    default:
      return 1
  }
}

/** Of a text: what is written there, or as much as a rule sees of a fact. */
function charsOf(node: ASTNode | undefined): number {
  return node?.op === 'value' && typeof node.args === 'string' ? node.args.length + 1 : LIMITS.textChars
}

/** The most that a list can have; 0 of what is no list. What is chosen among several has as many as the longest of them. */
function entriesOf(node: ASTNode): number {
  if (node.op === 'list') return node.args.length
  if ((node as { readonly checkedType?: CheckedType }).checkedType?.kind !== 'list') return 0
  if (pathOf(node) !== undefined) return LIMITS.listed
  const call = callOf(node)
  if (call?.receiver !== undefined && MACROS.has(call.name)) return entriesOf(call.receiver)
  return Math.max(LIMITS.listed, ...childrenOf(node).map(entriesOf))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0)
}

const NUMBERS = new Set(['int', 'uint', 'double'])
const MANY = new Set(['list', 'map', 'dyn'])

const MACROS = new Set(['exists', 'all', 'exists_one', 'filter', 'map'])

/** `age.hours`, for a node that reads one field of a variable, or a variable. */
function pathOf(node: ASTNode): string | undefined {
  if (node.op === 'id') return node.args
  if (node.op !== '.') return undefined
  const [of, name] = node.args
  return of.op === 'id' ? `${of.args}.${name}` : undefined
}

interface Call {
  readonly name: string
  readonly receiver: ASTNode | undefined
  readonly args: readonly ASTNode[]
}

function callOf(node: ASTNode): Call | undefined {
  if (node.op === 'call') return { name: node.args[0], receiver: undefined, args: node.args[1] }
  if (node.op === 'rcall') return { name: node.args[0], receiver: node.args[1], args: node.args[2] }
  return undefined
}

/** Nodes directly below one that is no call. */
function childrenOf({ args }: ASTNode): readonly ASTNode[] {
  return nodesIn(args)
}

function nodesIn(value: unknown): readonly ASTNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn)
  return isNode(value) ? [value] : []
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value
}

/** A licence that is misspelled in a policy would never be satisfied, and nobody would know why. */
function checkLicences(args: readonly ASTNode[], where: string): void {
  const texts = args.flatMap(arg => (arg.op === 'list' ? arg.args : []))
  for (const { op, args: text } of texts) {
    if (op !== 'value' || typeof text !== 'string') continue
    try {
      const { tree } = parseLicence(text)
      if (tree.type !== 'licence') throw invalid(`${where}: ${text} is several licences: name each by itself`)
    } catch (cause) {
      if (!isRegistryError(cause) || cause.code === 'POLICY_INVALID') throw cause
      throw invalid(`${where}: ${cause.message}`, cause.next, cause)
    }
  }
}

/** The library draws the place below its message; its first line says what is wrong. */
function oneLine(error: unknown): string {
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : messageOf(error)
  return text.trim()
}
