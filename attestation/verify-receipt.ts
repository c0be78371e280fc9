import { publicKeyOf } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { parsePayload } from '../protocol/payload.ts'
import { compilePolicy, judgeRelease } from '../protocol/policy/evaluate.ts'
import { policyDigest } from '../protocol/policy/policy.ts'
import { packageKey, receiptSignedBytes, statementBytes } from '../protocol/policy/receipt.ts'
import type { Receipt, ReceiptPackage, SignedReceipt } from '../protocol/policy/receipt.ts'
import { admitKey, verify } from './keys.ts'
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
  for (const one of receipt.packages) verifyStatement(one)
  verifyVerdicts(receipt)
}

/** Attack: a release that nobody published, or other bytes under the name of one that somebody did. */
function verifyStatement(one: ReceiptPackage): void {
  const { registry, name, version, root, author, fact, statement } = one
  if (statement === null) return
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
  const { release } = one.facts
  if (release.name !== name || release.version !== version)
    throw wrong(`the facts beside ${name} are of another release`)
}

/** Attack: a verdict that the rules do not give for these facts. */
function verifyVerdicts({ policies, packages }: Receipt): void {
  const compiled = policies.map(({ name, registry, ...policy }) => {
    return { registry, policy: compilePolicy(name, { preset: undefined, reach: 'registry', ...policy }) }
  })
  for (const { registry, name, version, facts, verdict, rules } of packages) {
    const excepted = new Map(
      rules.filter(({ outcome }) => outcome === 'excepted').map(rule => [`${rule.policy} ${rule.code}`, rule.exception])
    )
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

/** What two machines installed, compared package by package. */
export interface ReceiptDiff {
  readonly onlyInA: readonly ReceiptPackage[]
  readonly onlyInB: readonly ReceiptPackage[]
  readonly different: readonly { readonly a: ReceiptPackage; readonly b: ReceiptPackage }[]
  /** Policies that one of them did not have in force. */
  readonly policies: { readonly a: readonly string[]; readonly b: readonly string[] }
}

export function diffReceipts(a: Receipt, b: Receipt): ReceiptDiff {
  const [inA, inB] = [a, b].map(({ packages }) => new Map(packages.map(one => [packageKey(one), one])))
  const digests = ({ policies }: Receipt): readonly string[] => policies.map(({ name, digest }) => `${name} ${digest}`)
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
    }
  }
}

function wrong(message: string): RegistryError {
  return new RegistryError('MALFORMED', message)
}
