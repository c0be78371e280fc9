import { publicKeyOf } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { parsePayload } from '../protocol/payload.ts'
import type { ReleaseContent } from '../protocol/payload.ts'
import { endOfDay, isDay } from '../protocol/policy/day.ts'
import { compilePolicy, judgeRelease } from '../protocol/policy/evaluate.ts'
import { holdsAt, isAbout } from '../protocol/policy/exception.ts'
import { policyDigest } from '../protocol/policy/policy.ts'
import { packageKey, receiptSignedBytes, statementBytes } from '../protocol/policy/receipt.ts'
import type { Receipt, ReceiptPackage, SignedReceipt } from '../protocol/policy/receipt.ts'
import { admitKey, verify } from './keys.ts'
import { verifyException } from './sign-exception.ts'
import { verifyFact } from './sign-fact.ts'

/**
 * Verifies a receipt with nothing but itself: the node's signature, the author's signature under each release, the digests
 * of the policies, and every verdict, judged again from the facts that the receipt holds.
 * @throws RegistryError BAD_SIGNATURE | MALFORMED | INADMISSIBLE_KEY | POLICY_INVALID | POLICY_DENIED
 */
export function verifyReceipt({ payload, receipt, signature }: SignedReceipt): void {
  // Attack: a key under which one signature fits any message.
  admitKey(publicKeyOf(receipt.by))
  if (!verify(publicKeyOf(receipt.by), receiptSignedBytes(payload), signature)) {
    throw new RegistryError('BAD_SIGNATURE', `the receipt is not signed by ${receipt.by}`)
  }
  for (const policy of receipt.policies) {
    // Attack: rules beside the digest of other rules.
    if (policyDigest(policy) !== policy.digest)
      throw wrong(`the policy ${policy.name} has not the digest that is named`)
  }
  assertNamedOnce(receipt)
  for (const one of receipt.packages) verifyStatement(one)
  verifyVerdicts(receipt)
}

/**
 * Attack: two policies under one name, so that an exception which one of them takes excuses from the other; a policy of a registry that
 * is said to stand in a file here, from which the node may excuse itself; a package that is there twice, of which a reader sees one.
 */
function assertNamedOnce({ policies, packages }: Receipt): void {
  const isTwice = (names: readonly string[]): boolean => new Set(names).size < names.length
  if (isTwice(policies.map(({ name }) => name))) throw wrong('two of its policies have one name')
  if (isTwice(packages.map(packageKey))) throw wrong('a package is in it twice')
  const odd = policies.find(({ local, registry }) => local && registry !== null)
  if (odd !== undefined) throw wrong(`the policy ${odd.name} is said to be that of a registry and of a file`)
}

/** Attack: a release that nobody published, or other bytes under the name of one that somebody did. */
function verifyStatement(one: ReceiptPackage): void {
  const { registry, name, version, root, author, fact, statement } = one
  if (statement === null) throw wrong(`nothing that its author signed is beside ${name}@${version}`)
  const envelope = parseEnvelope(statementBytes(statement))
  const { id, body } = envelope
  admitKey(publicKeyOf(body.author))
  if (!verifyFact(envelope))
    throw new RegistryError('BAD_SIGNATURE', `the release of ${name} is not signed by its author`)
  const payload = parsePayload(body)
  const isThat =
    id === fact &&
    body.author === author &&
    body.registry === registry &&
    body.subject === name &&
    payload.type === 'release' &&
    payload.value.version === version &&
    payload.value.root === root
  if (!isThat) throw wrong(`the release beside ${name}@${version} is another one`)
  assertItsFacts(one, payload.value)
}

/** Attack: a rule that holds for facts of another release, or for what its author never said. */
function assertItsFacts(
  { registry, name, version, author, facts }: ReceiptPackage,
  { size, manifest }: ReleaseContent
): void {
  const { release, publisher, licence } = facts
  const isItsOwn =
    release.name === name &&
    release.version === version &&
    release.bytes === size &&
    release.dependencies === manifest.dependencies.length &&
    release.executables === manifest.executables.length &&
    facts.registry.id === registry &&
    publisher.key === author &&
    licence.expression === (manifest.license ?? '')
  if (!isItsOwn) throw wrong(`the facts beside ${name} are of another release`)
}

/** Attack: a verdict that the rules do not give for these facts. */
function verifyVerdicts(receipt: Receipt): void {
  const { policies, packages } = receipt
  const compiled = policies.map(({ name, registry, ...policy }) => {
    return {
      registry,
      policy: compilePolicy(name, { preset: undefined, reach: 'registry', maxStaleHours: 0, ...policy })
    }
  })
  for (const one of packages) {
    const { registry, name, version, facts, verdict, rules } = one
    const excepted = new Map(
      rules.filter(({ outcome }) => outcome === 'excepted').map(rule => [`${rule.policy} ${rule.code}`, rule.exception])
    )
    for (const rule of rules) if (rule.outcome === 'excepted') assertExcused(receipt, one, rule)
    const over = compiled.flatMap(one => (one.registry === null || one.registry === registry ? [one.policy] : []))
    const again = judgeRelease(over, facts, (policy, { id }) => excepted.get(`${policy.name} ${id}`) ?? undefined)
    const told = new Map(rules.map(({ policy, code, outcome }) => [`${policy} ${code}`, outcome]))
    const isSame =
      again.verdict === verdict &&
      again.rules.length === rules.length &&
      again.rules.every(({ policy, code, outcome }) => told.get(`${policy} ${code}`) === outcome)
    if (!isSame) throw wrong(`the rules give another verdict for ${name}@${version} than the receipt has`)
    if (verdict === 'deny') throw new RegistryError('POLICY_DENIED', `the policy refuses ${name}@${version}`)
  }
}

/**
 * Attack: a node that writes an exception into a receipt which nobody made, which had ended, or which somebody made from whom
 * the policy takes none.
 */
function assertExcused(
  { by, time, policies, exceptions }: Receipt,
  one: ReceiptPackage,
  { policy: called, code, exception }: ReceiptPackage['rules'][number]
): void {
  const policy = policies.find(each => each.name === called)
  if (policy === undefined || exception === null) throw wrong(`nobody excuses ${one.name} from ${code}`)
  const { until, who, reason, signed } = exception
  const isOver = !isDay(until) || endOfDay(until) <= time
  const isSigned = (): boolean =>
    exceptions.some(record => {
      const isThat =
        holdsAt(record.body, time) &&
        record.body.until === until &&
        record.body.by === who &&
        record.body.reason === reason
      const may = policy.exceptionKeys.includes(record.body.by) || (policy.local && record.body.by === by)
      return isThat && may && isAbout(record, code, one) && verifyException(record)
    })
  const isWritten = (): boolean =>
    policy.exceptions.some(
      entry =>
        entry.rule === code &&
        [one.registry, one.facts.registry.alias].includes(entry.registry) &&
        (entry.name === undefined || entry.name === one.name) &&
        (entry.version === undefined || entry.version === one.version) &&
        entry.until === until &&
        entry.who === who &&
        entry.reason === reason
    )
  if (isOver || !(signed ? isSigned() : isWritten())) {
    throw wrong(`the exception of ${one.name}@${one.version} from ${code} does not hold`)
  }
}

/** What two machines installed, compared package by package. */
export interface ReceiptDiff {
  readonly onlyInA: readonly ReceiptPackage[]
  readonly onlyInB: readonly ReceiptPackage[]
  readonly different: readonly { readonly a: ReceiptPackage; readonly b: ReceiptPackage }[]
  /** Policies that one of them did not have in force. */
  readonly policies: OnlyIn<string>
  /** What one of them took on somebody's word, and the other did not. */
  readonly exceptions: OnlyIn<ExcusedPackage>
}

interface OnlyIn<T> {
  readonly a: readonly T[]
  readonly b: readonly T[]
}

/** A package that a rule was not applied to. */
export interface ExcusedPackage extends Pick<ReceiptPackage, 'name' | 'registry' | 'version'> {
  readonly policy: string
  readonly rule: string
  readonly until: string
  readonly who: string
  readonly reason: string
}

export function diffReceipts(a: Receipt, b: Receipt): ReceiptDiff {
  const [inA, inB] = [a, b].map(({ packages }) => new Map(packages.map(one => [packageKey(one), one])))
  const digests = ({ policies }: Receipt): readonly string[] => policies.map(({ name, digest }) => `${name} ${digest}`)
  const excused = [a, b].map(receipt => new Map(excusedIn(receipt).map(one => [JSON.stringify(one), one])))
  const only = (at: number): readonly ExcusedPackage[] =>
    [...(excused[at] ?? [])].flatMap(([key, one]) => (excused[1 - at]?.has(key) === true ? [] : [one]))
  return {
    onlyInA: a.packages.filter(one => inB?.has(packageKey(one)) !== true),
    onlyInB: b.packages.filter(one => inA?.has(packageKey(one)) !== true),
    different: a.packages.flatMap(one => {
      const other = inB?.get(packageKey(one))
      const isOther = other !== undefined && (other.root !== one.root || other.version !== one.version)
      return isOther ? [{ a: one, b: other }] : []
    }),
    policies: {
      a: digests(a).filter(each => !digests(b).includes(each)),
      b: digests(b).filter(each => !digests(a).includes(each))
    },
    exceptions: { a: only(0), b: only(1) }
  }
}

function excusedIn({ packages }: Receipt): readonly ExcusedPackage[] {
  return packages.flatMap(({ registry, name, version, rules }) =>
    rules.flatMap(({ policy, code: rule, outcome, exception }) => {
      if (outcome !== 'excepted' || exception === null) return []
      const { until, who, reason } = exception
      return [{ registry, name, version, policy, rule, until, who, reason }]
    })
  )
}

function wrong(message: string): RegistryError {
  return new RegistryError('MALFORMED', message)
}
