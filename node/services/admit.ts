import { setImmediate } from 'node:timers/promises'
import { admitKey } from '../../attestation/keys.ts'
import { verifyAttestation } from '../../attestation/verify-envelope.ts'
import { verifyFact } from '../../attestation/sign-fact.ts'
import type { Admission, PendingReason, RejectReason } from '../../protocol/admission.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { publicKeyOf } from '../../protocol/did.ts'
import type { Principal } from '../../protocol/did.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { namedKeys } from '../../protocol/payload.ts'
import { PendingBuffer } from '../../protocol/pending.ts'
import type { WaitsFor } from '../../protocol/pending.ts'
import { Draft } from './draft.ts'
import type { DraftReader } from './draft.ts'
import { foldDraft, refoldAll } from './refold.ts'
import type { ViewStore } from './refold.ts'
import { refoldOld, unfolded } from './refold-old.ts'
import type { RefoldLog } from './refold-old.ts'
import { RegistryState, verified } from './registry-state.ts'

/** Who brings what comes out of a mirror file: checked like a stranger's, written down for good, and never too quick. */
export const MIRROR_FILE = 'mirror-file'

/** Who brought a fact: a peer's id, `self` for what this node's own commands made, or a file. */
export interface Source {
  readonly peer: string
  /** The registry under which it came (topic, session of reconciliation). A fact of another one is refused. */
  readonly registry?: RegistryId
}

export interface GateStore extends ViewStore, DraftReader {}

export interface GateComponents {
  readonly store: GateStore
  /** False when this peer has used up its share of attention for now. */
  readonly mayAsk: (peer: string) => boolean
  /** Called once for each fact that became part of the set, after it is durable. */
  readonly onAccepted?: (fact: VerifiedFact, bytes: Uint8Array, source: Source) => void
  /** Called once what facts were written of says something else, perhaps, about the words of these subjects. */
  readonly onEdited?: (registry: RegistryId, subjects: readonly Subject[]) => void
  readonly log?: RefoldLog
  /** Called for the late verdict on a fact that had been pending, so that its sender can be blamed or thanked. */
  readonly onDecided?: (admission: Admission, source: string) => void
}

interface Item {
  readonly bytes: Uint8Array
  readonly source: Source
}

/** One batch under way: a write that gets full is followed by another. */
interface Turn {
  readonly state: RegistryState
  readonly source: Source
  draft: Draft
}

/**
 * The one gate. Every fact, ours or a stranger's, becomes part of a registry's set here and nowhere else.
 *
 * Order: size, shape, known?, rate, author named?, signature, payload and keys, position, durable write, views.
 * Invariants:
 * 1. Membership depends on the facts alone: valid, author named in the set, predecessor in the set, and not cut by a
 *    revocation that counts. So any order of arrival, with gaps and doubles, ends in the same set.
 * 2. Facts, views and head of a batch are one atomic write; `accept` is said after it.
 * 3. One batch at a time for each registry.
 * 4. A failed write leaves doubt, not belief: what memory knows of the registry is read again before the next batch.
 */
export class Gate {
  readonly #components: GateComponents
  readonly #states = new Map<RegistryId, RegistryState>()
  readonly #queues = new Map<RegistryId, { last: Promise<unknown>; waiting: number }>()
  readonly #pending = new Map<RegistryId, PendingBuffer>()
  #checks = 0

  constructor(components: GateComponents) {
    this.#components = components
  }

  /** Follows a registry: from now on its facts are taken. Finishes a refold that a crash or a loss made necessary. */
  async open(registry: RegistryId, { refold = false } = {}): Promise<void> {
    if (this.#states.has(registry)) return
    const { store, log, onEdited } = this.#components
    const state = new RegistryState(registry, store, subjects => onEdited?.(registry, subjects))
    await state.load()
    if (refold || (await store.isMarked(registry))) await refoldAll(state, store, unfolded(registry, log))
    else if (await store.isStale(registry)) await refoldOld(state, store, log)
    this.#states.set(registry, state)
    this.#pending.set(registry, new PendingBuffer())
  }

  /**
   * Runs a repair of the store in turn, then reads the registry again and folds all of it: what memory knows may be of
   * facts that are gone.
   */
  async repair(registry: RegistryId, task: () => Promise<void>): Promise<void> {
    await this.#enqueue(registry, async () => {
      const state = this.#states.get(registry)
      state?.doubt()
      await task()
      await state?.load()
      if (state !== undefined) await refoldAll(state, this.#components.store, unfolded(registry, this.#components.log))
    })
  }

  close(registry: RegistryId): void {
    this.#states.delete(registry)
    this.#pending.delete(registry)
  }

  state(registry: RegistryId): RegistryState | undefined {
    return this.#states.get(registry)
  }

  get registries(): readonly RegistryId[] {
    return [...this.#states.keys()]
  }

  pendingCount(registry: RegistryId): number {
    return this.#pending.get(registry)?.size ?? 0
  }

  async admit(bytes: Uint8Array, source: Source): Promise<Admission> {
    const [admission] = await this.admitMany([bytes], source)
    return admission ?? { verdict: 'ignore', reason: 'unknown-registry' }
  }

  /**
   * Verdicts in the order of the facts. At most `LIMITS.admission.factsPerBatch` are looked at together.
   * @throws RegistryError DISK_FULL | READ_ONLY | STORE_CORRUPT when what was accepted could not be made durable
   */
  async admitMany(facts: readonly Uint8Array[], source: Source): Promise<readonly Admission[]> {
    const verdicts: Admission[] = []
    for (let from = 0; from < facts.length; from += LIMITS.admission.factsPerBatch) {
      const batch = facts.slice(from, from + LIMITS.admission.factsPerBatch)
      verdicts.push(...(await this.#admitBatch(batch, source)))
    }
    return verdicts
  }

  async #admitBatch(facts: readonly Uint8Array[], source: Source): Promise<readonly Admission[]> {
    const verdicts: (Admission | undefined)[] = []
    const byRegistry = new Map<RegistryId, { index: number; envelope: Envelope }[]>()
    for (const [index, bytes] of facts.entries()) {
      const shape = readShape({ bytes, source })
      if ('verdict' in shape) {
        verdicts[index] = shape
        continue
      }
      const registry = shape.body.registry ?? (shape.id as string as RegistryId)
      const group = byRegistry.get(registry) ?? []
      group.push({ index, envelope: shape })
      byRegistry.set(registry, group)
    }
    for (const [registry, group] of byRegistry) {
      const envelopes = group.map(item => item.envelope)
      const refusal = this.#refusal(registry, source)
      const decided =
        refusal === undefined
          ? await this.#enqueue(registry, () => this.#decide(registry, envelopes, source))
          : envelopes.map(({ id }): Admission => ({ verdict: 'ignore', id, reason: refusal }))
      for (const [i, item] of group.entries()) verdicts[item.index] = decided[i]
    }
    return verdicts.map(verdict => verdict ?? { verdict: 'ignore', reason: 'unknown-registry' })
  }

  /** Why a batch is not even queued: nothing is kept for a registry that a stranger made up. */
  #refusal(registry: RegistryId, { peer }: Source): 'unknown-registry' | 'over-rate' | undefined {
    if (!this.#states.has(registry)) return 'unknown-registry'
    const waiting = this.#queues.get(registry)?.waiting ?? 0
    return peer !== 'self' && waiting >= LIMITS.admission.queuedBatches ? 'over-rate' : undefined
  }

  /** Runs after whatever is under way for this registry, whether that failed or not. */
  #enqueue<T>(registry: RegistryId, task: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(registry) ?? { last: Promise.resolve(), waiting: 0 }
    const run = queue.last.then(task, task)
    queue.waiting += 1
    queue.last = run
      .catch(() => undefined)
      .then(() => {
        queue.waiting -= 1
        if (queue.waiting === 0) this.#queues.delete(registry)
      })
    this.#queues.set(registry, queue)
    return run
  }

  async #decide(registry: RegistryId, envelopes: readonly Envelope[], source: Source): Promise<readonly Admission[]> {
    const state = this.#states.get(registry)
    if (state === undefined) {
      return envelopes.map(({ id }) => ({ verdict: 'ignore', id, reason: 'unknown-registry' }))
    }
    const { store, log } = this.#components
    let gained: readonly Principal[] = []
    if (state.isDoubtful) {
      await state.load()
      if (await store.isStale(registry)) gained = await refoldAll(state, store, unfolded(registry, log))
    }
    const turn: Turn = { state, source, draft: new Draft(state, store, gained.map(toArrived)) }
    await turn.draft.prefetch(envelopes)
    const verdicts: Admission[] = []
    const outcome: Outcome = { cut: new Set(), joined: new Map() }
    for (const envelope of envelopes) {
      const { draft } = turn
      verdicts.push(
        (await this.#screen(draft, envelope, source.peer)) ?? (await this.#consider(draft, envelope, source.peer))
      )
      await this.#retry(turn, outcome)
      if (turn.draft.isFull) await this.#land(turn, outcome)
    }
    await this.#land(turn, outcome)
    // What came back into the set may have named keys that others waited for. Each round takes some of them out of the buffer.
    for (await this.#retry(turn, outcome); turn.draft.isUsed; await this.#retry(turn, outcome))
      await this.#land(turn, outcome)
    return verdicts.map(verdict => afterFold(verdict, outcome))
  }

  /** Makes durable what the draft holds, then tells, then begins the next one. */
  async #land(turn: Turn, { cut, joined }: Outcome): Promise<void> {
    const { state, draft, source } = turn
    try {
      const folded = await foldDraft(draft, this.#components.store, {
        sync: source.peer === 'self' || source.peer === MIRROR_FILE
      })
      const { left, gained } = folded
      for (const id of left) cut.add(id)
      for (const item of folded.joined) joined.set(item.fact.id, item.fact)
      turn.draft = new Draft(state, this.#components.store, [...draft.takeArrived(), ...gained.map(toArrived)])
    } catch (error) {
      state.doubt()
      throw error
    }
    const inside = [
      ...draft.accepted.filter(({ fact }) => !cut.has(fact.id)),
      ...draft.cut.filter(({ fact }) => joined.has(fact.id))
    ]
    for (const { fact, bytes, peer } of inside) {
      this.#components.onAccepted?.(fact, bytes, { ...source, peer })
    }
  }

  /** What can be said without any cryptography. */
  async #screen(draft: Draft, envelope: Envelope, peer: string): Promise<Admission | undefined> {
    const { id } = envelope
    if ((await draft.side(id)) !== undefined) return { verdict: 'ignore', id, reason: 'seen' }
    const waitsFor = this.#pending.get(draft.registry)?.find(envelope)
    if (waitsFor !== undefined) {
      // A key may have been named by a fact that changed sides, which nobody told the buffer.
      if ('key' in waitsFor && (await isHeard(draft, envelope, waitsFor.key))) draft.announce(waitsFor)
      return { verdict: 'pending', id, reason: reasonOf(waitsFor) }
    }
    if (peer !== 'self' && !this.#components.mayAsk(peer)) return { verdict: 'ignore', id, reason: 'over-rate' }
    return undefined
  }

  async #consider(draft: Draft, envelope: Envelope, peer: string): Promise<Admission> {
    const { id, body } = envelope
    // A genesis is vouched for by its id, which is what the operator chose to follow.
    const isNamed = body.type === 'genesis' || (await draft.isNamed(body.author))
    if (!isNamed && !(await draft.isNamedAside(body.subject, body.author))) {
      return this.#wait(draft, envelope, peer, { key: body.author })
    }
    // Signature checks are 0.2 ms each: let the network breathe.
    this.#checks += 1
    if (this.#checks % 32 === 0) await setImmediate()
    if (!verifyFact(envelope)) return { verdict: 'reject', id, reason: 'bad-signature' }
    const fact = await readPayload(envelope, draft)
    if (typeof fact === 'string') return { verdict: 'reject', id, reason: fact }
    const side = body.prev === null ? 'set' : await draft.side(body.prev)
    if (body.prev !== null) {
      if (side === undefined) return this.#wait(draft, envelope, peer, { fact: body.prev })
      const before = await draft.find(body.subject, body.prev)
      if (before === undefined || !follows(fact, before)) return { verdict: 'reject', id, reason: 'wrong-position' }
    }
    if (!isNamed || side === 'cut' || draft.state.authority?.isCut(fact) === true) {
      // A key that lost every role may have said this before it lost them: whether it did may yet be decided otherwise.
      // A change of who may do what may also end the revocation that seems to cut it, so it is folded with the others.
      if (peer !== 'self' || body.subject === 'registry') await draft.setAside(fact, envelope.bytes, peer)
      return { verdict: 'ignore', id, reason: 'revoked' }
    }
    await draft.add(fact, envelope.bytes, peer)
    return { verdict: 'accept', id, fact }
  }

  #wait(draft: Draft, envelope: Envelope, peer: string, waitsFor: WaitsFor): Admission {
    const { id } = envelope
    // Our own command is told no and may sign the position again: a first try that came in later would be a fork.
    const held = peer === 'self' || this.#pending.get(draft.registry)?.add({ envelope, source: peer, waitsFor })
    if (held !== true) return { verdict: 'ignore', id, reason: 'pending-full' }
    return { verdict: 'pending', id, reason: reasonOf(waitsFor) }
  }

  /** Looks again at what waited for the facts that just came in, and for what those let in. */
  async #retry(turn: Turn, outcome: Outcome): Promise<void> {
    const pending = this.#pending.get(turn.state.registry)
    // Ends: what is taken out of the buffer comes back at most once, to wait for its predecessor.
    for (let arrived = turn.draft.takeArrived(); arrived.length > 0; arrived = turn.draft.takeArrived()) {
      const waiting = arrived.flatMap(waitsFor => pending?.take(waitsFor) ?? [])
      for (const { envelope, source } of waiting) {
        if (turn.draft.isFull) await this.#land(turn, outcome)
        if ((await turn.draft.side(envelope.id)) !== undefined) continue
        const admission = await this.#consider(turn.draft, envelope, source)
        if (admission.verdict !== 'pending') this.#components.onDecided?.(admission, source)
      }
    }
  }
}

function toArrived(key: Principal): WaitsFor {
  return { key }
}

/** What the folds of one batch made of facts that the gate had let in, or kept aside. */
interface Outcome {
  readonly cut: Set<FactId>
  readonly joined: Map<FactId, VerifiedFact>
}

/** A revocation in the same batch has cut what was let in before it, or a change that was kept aside counts. */
function afterFold(verdict: Admission, { cut, joined }: Outcome): Admission {
  if (verdict.verdict === 'accept' && cut.has(verdict.id))
    return { verdict: 'ignore', id: verdict.id, reason: 'revoked' }
  const fact = verdict.id === undefined ? undefined : joined.get(verdict.id)
  return verdict.verdict === 'ignore' && fact !== undefined ? { verdict: 'accept', id: fact.id, fact } : verdict
}

async function isHeard(draft: Draft, { body }: Envelope, key: Principal): Promise<boolean> {
  return (await draft.isNamed(key)) || (await draft.isNamedAside(body.subject, key))
}

function reasonOf(waitsFor: WaitsFor): PendingReason {
  return 'key' in waitsFor ? 'author-unnamed' : 'predecessor-missing'
}

/** Size and shape, before anything is looked up. */
function readShape({ bytes, source }: Item): Envelope | Admission {
  try {
    const envelope = parseEnvelope(bytes)
    const registry = envelope.body.registry ?? envelope.id
    if (source.registry !== undefined && registry !== source.registry) {
      return { verdict: 'reject', id: envelope.id, reason: 'wrong-registry' }
    }
    return envelope
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return { verdict: 'reject', reason: error.code === 'LIMIT_EXCEEDED' ? 'too-large' : 'malformed' }
  }
}

/** The payload, the keys it names and those that signed inside it. The curve arithmetic is here, after the signature: strangers cost none of it. */
async function readPayload(envelope: Envelope, draft: Draft): Promise<VerifiedFact | RejectReason> {
  try {
    const fact = verified(envelope)
    const { payload } = fact
    const signers = payload.type === 'attestation' ? payload.value.keys : []
    for (const key of [...namedKeys(payload), ...signers]) {
      // A key that is named already was admitted then: the answer is a matter of its bytes alone.
      if (await draft.isNamed(key)) continue
      // Up to 2.5 ms a key, and a fact may name many.
      await setImmediate()
      admitKey(publicKeyOf(key))
    }
    if (payload.type === 'attestation') verifyAttestation(payload.value)
    return fact
  } catch (error) {
    if (!isRegistryError(error)) throw error
    if (error.code === 'BAD_SIGNATURE') return 'bad-signature'
    return error.code === 'INADMISSIBLE_KEY' ? 'inadmissible-key' : 'malformed'
  }
}

/** The one position a fact can have: right behind the fact it names, in the same chain. */
function follows({ body }: VerifiedFact, { body: before }: VerifiedFact): boolean {
  return body.seq === before.seq + 1 && body.author === before.author && body.chain === before.chain
}
