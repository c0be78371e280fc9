import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { Envelope, Subject } from '../../../protocol/fact.ts'
import { formatFactFile, parseFactFile } from '../../../protocol/fact-file.ts'
import type { Signer } from '../author.ts'
import { admitFile, bundleOf } from './fact-files.ts'
import type { AdmittedFact, FactFileComponents } from './fact-files.ts'
import { placeOf } from './place.ts'
import { signersOf, standingOf } from './powers.ts'
import type { Standing } from './powers.ts'
import { describe } from './words.ts'
import { standingHere, writeOrder } from './writer.ts'
import type { WriterComponents, Written } from './writer.ts'

export interface CosignComponents extends Omit<WriterComponents, 'gate'>, Omit<FactFileComponents, 'announce'> {
  /** Where a fact is, in one registry or in any that is followed. @throws RegistryError USAGE when it is not here */
  readonly locate: (id: FactId, registry: RegistryId | undefined) => Promise<Located>
  readonly followed: () => readonly RegistryId[]
}

/** A fact that is here. */
export interface Located {
  readonly registry: RegistryId
  readonly id: FactId
  readonly subject: Subject
}

/** A fact that was signed too, and how it stands now. */
export interface Cosigned extends Standing, Pick<Written, 'type' | 'text'> {
  readonly fact: FactId
  readonly registry: RegistryId
  readonly subject: Subject
  /** The signature; null when this key had signed before, or nothing was to be signed yet. */
  readonly cosign: FactId | null
}

export interface SignAsked {
  readonly what: { readonly fact: FactId; readonly registry: RegistryId | undefined } | { readonly file: string }
  readonly key: string | undefined
  /** Another file to write. */
  readonly out: string | undefined
  /** Says what would be signed, and signs nothing. */
  readonly isDryRun: boolean
}

export interface SignResult {
  readonly signed: readonly Cosigned[]
  /** What became of the facts in the file. */
  readonly admitted: readonly AdmittedFact[]
  readonly file: string | null
}

/**
 * One more signature under a fact, or under everything in a file that waits for one of this key. The facts of the file
 * come in through the gate first; the signatures are added to it.
 * @throws RegistryError NOT_AUTHORIZED | USAGE | MALFORMED | UNKNOWN_FILE | ALREADY_EXISTS
 */
export async function signToo(components: CosignComponents, asked: SignAsked): Promise<SignResult> {
  const { files } = components
  if (asked.out !== undefined) await files.assertFree(asked.out)
  const signer = await components.signer(asked.key)
  if ('fact' in asked.what) {
    const target = await components.locate(asked.what.fact, asked.what.registry)
    const signed = [await signOne(components, target, { signer, isDryRun: asked.isDryRun })]
    if (asked.out !== undefined) await files.replace(asked.out, await fileOf(components, signed, []))
    return { signed, admitted: [], file: asked.out ?? null }
  }
  const { file } = asked.what
  const { envelopes, facts: admitted } = await admitFile(components, file)
  const waiting = await waitingIn(components, envelopes, signer)
  if (waiting.length === 0) throw nothingToSign(file, signer, admitted)
  const signed: Cosigned[] = []
  for (const target of waiting) signed.push(await signOne(components, target, { signer, isDryRun: asked.isDryRun }))
  const to = asked.out ?? file
  if (!asked.isDryRun) await files.replace(to, await fileOf(components, signed, envelopes))
  return { signed, admitted, file: asked.isDryRun ? null : to }
}

interface Signing {
  readonly signer: Signer
  readonly isDryRun: boolean
}

async function signOne(
  components: CosignComponents,
  target: Located,
  { signer, isDryRun }: Signing
): Promise<Cosigned> {
  const { gate } = components
  const { registry, subject, id } = target
  const place = await placeOf(gate, registry, subject)
  const fact = place.facts.find(known => known.id === id)
  if (fact === undefined) throw new RegistryError('INTERNAL', `fact ${id} is not in the set`)
  if (fact.body.type === 'cosign' || fact.body.type === 'genesis')
    throw new RegistryError('USAGE', `a ${fact.body.type} takes no more signatures`)
  const before = { ...standingOf(place, fact), type: fact.body.type, text: describe(fact), registry, subject, fact: id }
  if (isDryRun || signersOf(place.facts, fact).has(signer.principal)) return { ...before, cosign: null }
  const cosign = await writeOrder(components, {
    registry,
    subject,
    signer,
    payload: at => ({ type: 'cosign', value: { fact: id, head: at.authority.head } })
  })
  return { ...before, ...(await standingHere(gate, registry, { id, subject })), cosign: cosign.fact }
}

/** Facts of a file that wait for a signature that this key can give, in the order in which their author wrote them. */
async function waitingIn(
  { gate, followed }: CosignComponents,
  envelopes: readonly Envelope[],
  { principal }: Signer
): Promise<readonly Located[]> {
  const waiting: (Located & { readonly at: string })[] = []
  for (const { id, body } of envelopes) {
    const { registry, subject } = body
    if (registry === null || body.type === 'cosign' || !followed().includes(registry)) continue
    const place = await placeOf(gate, registry, subject)
    const fact = place.facts.find(known => known.id === id)
    if (fact === undefined) continue
    const { counts, needed, open } = standingOf(place, fact)
    const mayDecide = open.includes(principal) || place.authority.recovery === principal
    if (counts || needed === 0 || !mayDecide || signersOf(place.facts, fact).has(principal)) continue
    waiting.push({ registry, subject, id, at: `${body.chain} ${String(body.seq).padStart(5, '0')}` })
  }
  return waiting.toSorted((a, b) => (a.at < b.at ? -1 : 1))
}

/** What the file held, what was signed, and what others need to let that in. */
async function fileOf(
  components: CosignComponents,
  signed: readonly Cosigned[],
  envelopes: readonly Envelope[]
): Promise<Uint8Array> {
  let others = envelopes
  for (const [registry, targets] of Map.groupBy(signed, target => target.registry)) {
    const facts = targets.flatMap(({ fact, cosign, subject }) =>
      [fact, ...(cosign === null ? [] : [cosign])].map(id => ({ id, subject }))
    )
    others = parseFactFile(await bundleOf(components, { registry, facts, others }))
  }
  return formatFactFile(others)
}

function nothingToSign(file: string, { principal }: Signer, admitted: readonly AdmittedFact[]): RegistryError {
  const refused = admitted.filter(({ verdict }) => verdict !== 'accept')
  const verdicts = refused
    .filter(({ reason }) => reason !== 'seen')
    .map(({ type, reason }) => `${type}: ${reason ?? ''}`)
  return new RegistryError('NOT_AUTHORIZED', `nothing in ${file} waits for a signature of ${principal}`, {
    tried: [`read ${admitted.length} facts`, ...[...new Set(verdicts)].slice(0, 8)],
    next: 'ggen-node admit FILE says what became of each; --key NAME signs with another key'
  })
}
