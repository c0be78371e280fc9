import { admitSubmissionKeys } from '../../../attestation/sign-submission.ts'
import type { Authority } from '../../../protocol/authority.ts'
import { compareText } from '../../../protocol/bytes.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { decodeCbor, encodeCbor } from '../../../protocol/cbor.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError, messageOf } from '../../../protocol/errors.ts'
import { recordOf } from '../../../protocol/fact.ts'
import type { HelloRole } from '../../../protocol/hello.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { cleanText } from '../../../protocol/manifest-text.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseSubmission } from '../../../protocol/submission.ts'
import type { Submission, SubmissionEnvelope, SubmissionId } from '../../../protocol/submission.ts'
import type { SubmitAnswer, SubmitRefusal, SubmitRequest } from '../../../protocol/submit-messages.ts'
import type { Desk } from './desk.ts'
import type { NameIndex } from './name-index.ts'
import { mayName } from './naming.ts'

/** A peer that may be asked. */
export interface AskablePeer {
  readonly id: string
  readonly registries: readonly RegistryId[]
  readonly roles: readonly HelloRole[]
}

export interface SubmitterComponents {
  readonly signer: { readonly principal: Principal; signSubmission(body: Submission): Uint8Array }
  readonly gate: { state(registry: RegistryId): { readonly authority: Authority | undefined } | undefined }
  readonly names: NameIndex
  readonly desk: Desk
  /** What was asked for by this node, by name. */
  readonly records: {
    asked(registry: RegistryId, name: string): Promise<Uint8Array | undefined>
    putAsked(registry: RegistryId, name: string, bytes: Uint8Array): Promise<void>
    forgetAsked(registry: RegistryId, name: string): Promise<void>
  }
  /** Who may be asked about a registry. */
  readonly peers: (registry: RegistryId) => readonly AskablePeer[]
  readonly askPeer: (peer: string, request: SubmitRequest, signal: AbortSignal) => Promise<SubmitAnswer>
  /** Waits a while until a name is given out here; whether it is. */
  readonly arrival: (registry: RegistryId, name: PackageName, signal: AbortSignal) => Promise<boolean>
  readonly now: () => number
  readonly nonce: () => Uint8Array
}

/** What somebody wants. What is left away is as it was asked for before, or what the node thinks usual. */
export interface SubmitWish {
  readonly name: PackageName
  /** Beside the node's own key. */
  readonly owners: readonly Principal[]
  readonly threshold: number | undefined
  readonly note: string | undefined
}

export interface SubmitResult {
  readonly name: PackageName
  readonly registry: RegistryId
  /** Null when the name was given out without a submission. */
  readonly id: SubmissionId | null
  readonly state: 'granted' | 'waiting' | 'denied'
  /** The claim, as the curator names it. */
  readonly fact: FactId | null
  /** Whether the claim is here, so that publishing works. */
  readonly here: boolean
  /** Why it was denied. */
  readonly reason: string
  /** Who answered: a peer id, or `self`. */
  readonly curator: string | null
  readonly keys: readonly Principal[]
  readonly threshold: number
}

export type Submit = (registry: RegistryId, wish: SubmitWish, signal: AbortSignal) => Promise<SubmitResult>

/**
 * Asks the curators of a registry for a name. Asking again is the same question: the submission that was sent first is
 * kept, so that a curator has it once, however often somebody looks what became of it.
 */
export function submitter(components: SubmitterComponents): Submit {
  return async (registry, wish, signal) => {
    const { gate, names, signer, records } = components
    const authority = gate.state(registry)?.authority
    if (authority === undefined) throw notHere(registry)
    const taken = await names.taken(registry, wish.name)
    // Of a name that only looks like one that exists, a person may think otherwise: where one decides, he is asked.
    const isExact = taken?.name === wish.name
    const isRefused = isExact || authority.genesis.admission === 'open'
    const isOwnLook = !isExact && taken?.claim?.keys.includes(signer.principal) === true
    if (taken !== undefined && taken.claim !== null && isRefused && !isOwnLook) {
      const { keys, threshold, fact } = taken.claim
      if (taken.name !== wish.name || !keys.includes(signer.principal)) throw nameTaken(wish.name, taken.name)
      await records.forgetAsked(registry, wish.name)
      const { name } = wish
      return {
        name,
        registry,
        id: null,
        state: 'granted',
        fact,
        here: true,
        reason: '',
        curator: null,
        keys,
        threshold
      }
    }
    const asked = await question(components, registry, wish)
    const isOurs = mayName(authority, signer.principal, wish.name, components.now())
    const told = isOurs
      ? { curator: 'self', answer: await askSelf(components, asked.envelope, wish.name) }
      : await askCurators(components, asked, signal)
    return await conclude(components, { asked, told, name: wish.name }, signal)
  }
}

type Told = { readonly curator: string; readonly answer: Exclude<SubmitAnswer, { type: 'refused' }> }

interface Asked {
  readonly envelope: SubmissionEnvelope
  /** Who has it already. */
  readonly curator: string | undefined
}

async function conclude(
  { records, arrival }: SubmitterComponents,
  { asked: { envelope }, told: { curator, answer }, name }: { asked: Asked; told: Told; name: PackageName },
  signal: AbortSignal
): Promise<SubmitResult> {
  const { registry, keys, threshold } = envelope.body
  const result = { name, registry, id: envelope.id, curator, keys, threshold, fact: null, here: false, reason: '' }
  switch (answer.type) {
    case 'waiting':
      await records.putAsked(registry, name, encodeAsked({ envelope, curator }))
      return { ...result, state: 'waiting' }
    case 'denied':
      // The next one is a new question.
      await records.forgetAsked(registry, name)
      return { ...result, state: 'denied', reason: answer.reason }
    case 'granted': {
      const here = await arrival(registry, name, signal)
      if (here) await records.forgetAsked(registry, name)
      return { ...result, state: 'granted', fact: answer.fact, here }
    }
  }
}

/** The submission that was made before for the same wish, or a new one, kept before anybody is asked. */
async function question(
  { signer, records, now, nonce }: SubmitterComponents,
  registry: RegistryId,
  wish: SubmitWish
): Promise<Asked> {
  const keys = [...new Set([signer.principal, ...wish.owners])].toSorted(compareText)
  const note = wish.note === undefined ? undefined : cleanText(wish.note)
  checkWish(keys, wish.threshold, note)
  const before = parseAsked(await records.asked(registry, wish.name))
  if (before !== undefined && isSame(before.envelope.body, { ...wish, note, keys })) return before
  const envelope = parseSubmission(
    signer.signSubmission({
      v: 1,
      registry,
      name: wish.name,
      keys,
      threshold: wish.threshold ?? 1,
      note: note ?? '',
      time: now(),
      nonce: nonce()
    })
  )
  // Before others see them: keys that prove nothing are held against whoever sends them.
  admitSubmissionKeys(envelope)
  await records.putAsked(registry, wish.name, encodeAsked({ envelope, curator: undefined }))
  return { envelope, curator: undefined }
}

function checkWish(keys: readonly Principal[], threshold: number | undefined, note: string | undefined): void {
  const { submit } = LIMITS
  if (keys.length > submit.keys) {
    throw new RegistryError('LIMIT_EXCEEDED', `a name is asked for with at most ${submit.keys} owners, yours included`)
  }
  if (threshold !== undefined && (threshold < 1 || threshold > keys.length)) {
    throw new RegistryError('USAGE', `the threshold is a number from 1 to ${keys.length}, the number of owners`)
  }
  if (note !== undefined && note.length > submit.noteChars) {
    throw new RegistryError('LIMIT_EXCEEDED', `a note has at most ${submit.noteChars} characters`)
  }
}

function isSame(
  before: Submission,
  { owners, threshold, note, keys }: SubmitWish & { readonly keys: readonly Principal[] }
): boolean {
  if (owners.length > 0 && before.keys.join() !== keys.join()) return false
  if (threshold !== undefined && before.threshold !== threshold) return false
  return note === undefined || before.note === note
}

/** A key that curates asks nobody else: an open registry gives it out at once, a curated one when its person says so. */
async function askSelf(
  { desk }: SubmitterComponents,
  { bytes }: SubmissionEnvelope,
  name: PackageName
): Promise<Told['answer']> {
  const answer = await desk.submit(bytes, 'self')
  if (answer.type === 'refused') throw failure(name, [{ peer: 'this node', said: answer.reason }])
  return answer
}

interface Said {
  readonly peer: string
  readonly said: string
}

/** One after the other, each with a deadline, until one has an answer that is none of "not me" and "not now". */
async function askCurators(components: SubmitterComponents, asked: Asked, signal: AbortSignal): Promise<Told> {
  const { registry, name } = asked.envelope.body
  const said: Said[] = []
  for (const peer of inOrder(components.peers(registry), registry, asked.curator).slice(0, LIMITS.submit.asked)) {
    signal.throwIfAborted()
    try {
      const answer = await askOne(components, { peer, asked, signal })
      if (answer.type !== 'refused') return { curator: peer, answer }
      said.push({ peer, said: answer.reason })
    } catch (error) {
      signal.throwIfAborted()
      said.push({ peer, said: messageOf(error) })
    }
  }
  throw failure(name as PackageName, said)
}

async function askOne(
  { askPeer }: SubmitterComponents,
  { peer, asked, signal }: { readonly peer: string; readonly asked: Asked; readonly signal: AbortSignal }
): Promise<SubmitAnswer> {
  const { id, bytes, body } = asked.envelope
  if (peer === asked.curator) {
    const answer = await askPeer(peer, { type: 'ask', registry: body.registry, id }, signal)
    // A full inbox may have given way: then it is handed in once more.
    if (answer.type !== 'refused' || answer.reason !== 'unknown-submission') return answer
  }
  return askPeer(peer, { type: 'submit', envelope: bytes }, signal)
}

/** Who has it already, then who says that he curates, then whoever follows the registry: a new role shows in the next hello only. */
function inOrder(peers: readonly AskablePeer[], registry: RegistryId, first: string | undefined): readonly string[] {
  const rank = ({ id, roles }: AskablePeer): number => (id === first ? 0 : roles.includes('curator') ? 1 : 2)
  return peers
    .filter(({ registries }) => registries.includes(registry))
    .toSorted((a, b) => rank(a) - rank(b))
    .map(({ id }) => id)
}

const WORDS: Readonly<Record<SubmitRefusal, string>> = {
  'bad-name': 'the name is none that it gives out',
  busy: 'it is busy, ask again later',
  full: 'its inbox is full, ask again later',
  'name-taken': 'the name is given out, or looks like one that is',
  'not-a-curator': 'it gives out no such names',
  'over-rate': 'too many submissions, ask again later',
  'unknown-registry': 'it does not follow the registry',
  'unknown-submission': 'it does not know the submission'
}

function failure(name: PackageName, said: readonly Said[]): RegistryError {
  const tried = said.map(({ peer, said: words }) => {
    const isKnown = Object.hasOwn(WORDS, words)
    return `asked ${peer}: ${isKnown ? `${words}, ${WORDS[words as SubmitRefusal]}` : words}`
  })
  const short = shortNameOf(name)
  if (said.some(each => each.said === 'name-taken')) {
    return new RegistryError('NAME_TAKEN', `${short} is given out, or looks like a name that is`, {
      tried,
      next: 'choose another name'
    })
  }
  if (said.some(each => each.said === 'bad-name')) {
    return new RegistryError('INVALID_NAME', `${short} is not given to strangers`, {
      tried,
      next: 'choose another name'
    })
  }
  const why = said.length === 0 ? 'no peer that follows the registry is connected' : 'nobody who was asked gives it out'
  return new RegistryError('NO_CURATOR', `${short} could not be asked for: ${why}`, {
    tried,
    next: 'connect to a curator of the registry and try again: ggen-node connect ADDRESS'
  })
}

function nameTaken(name: PackageName, other: PackageName): RegistryError {
  const what = name === other ? 'is given out already' : `looks like ${shortNameOf(other)}, which is given out already`
  return new RegistryError('NAME_TAKEN', `${shortNameOf(name)} ${what}`, {
    next: `choose another name, or ask its owners: ggen-node show ${shortNameOf(other)}`
  })
}

function notHere(registry: RegistryId): RegistryError {
  return new RegistryError('PENDING', `the genesis of registry ${registry} has not arrived yet`, {
    next: 'connect to a peer that follows it: ggen-node connect ADDRESS'
  })
}

function encodeAsked({ envelope, curator }: Asked): Uint8Array {
  return encodeCbor({ envelope: envelope.bytes, curator: curator ?? null })
}

/** A record that cannot be read is as good as none: the question is asked anew. */
function parseAsked(bytes: Uint8Array | undefined): Asked | undefined {
  if (bytes === undefined) return undefined
  try {
    const { envelope, curator } = recordOf(decodeCbor(bytes, 1), ['envelope', 'curator'])
    if (!(envelope instanceof Uint8Array)) return undefined
    return { envelope: parseSubmission(envelope), curator: typeof curator === 'string' ? curator : undefined }
  } catch {
    return undefined
  }
}
