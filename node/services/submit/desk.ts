import { admitSubmissionKeys, verifySubmission } from '../../../attestation/sign-submission.ts'
import type { Authority } from '../../../protocol/authority.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parsePackageName, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Payload } from '../../../protocol/payload.ts'
import { isReservedName, skeletonOf } from '../../../protocol/similar-name.ts'
import type { KeptSubmission } from '../../../protocol/submission-record.ts'
import { parseSubmission } from '../../../protocol/submission.ts'
import type { SubmissionEnvelope, SubmissionId } from '../../../protocol/submission.ts'
import type { SubmitAnswer, SubmitRefusal } from '../../../protocol/submit-messages.ts'
import { RateLimit } from '../../runtime/rate.ts'
import type { AuthoredFact } from '../author.ts'
import type { Inbox } from './inbox.ts'
import type { NameIndex } from './name-index.ts'
import { curates, mayName } from './naming.ts'

/** Who hands a submission in: a peer and the block of addresses it comes from, or this node itself. */
export type SubmissionSource =
  | 'self'
  | {
      readonly peer: string
      readonly range: string
      readonly isPrivate: boolean
      /** The registries of the swarm in which it is asked. Of all others nobody is told whether they are known here. */
      readonly carries?: (registry: RegistryId) => boolean
    }

export interface DeskComponents {
  readonly author: {
    readonly principal: Principal
    write(registry: RegistryId, subject: Subject, payload: Payload): Promise<AuthoredFact>
  }
  readonly gate: { state(registry: RegistryId): { readonly authority: Authority | undefined } | undefined }
  readonly names: NameIndex
  readonly inbox: Inbox
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly now: () => number
}

/**
 * Where strangers ask this node's key for names. Each step comes after the cheaper one before it: size, shape, rate,
 * what is asked, signature, keys. The first two and a bad signature are the sender's fault; nothing else is.
 */
export class Desk {
  readonly #components: DeskComponents
  readonly #rates: Readonly<Record<'peer' | 'key' | 'range' | 'privateRange' | 'asks', RateLimit>>
  #last: Promise<unknown> = Promise.resolve()

  constructor(components: DeskComponents) {
    this.#components = components
    const { submit } = LIMITS
    const perHour = (burst: number): RateLimit =>
      new RateLimit({ perSecond: burst / 3_600, burst, keys: submit.tracked, now: components.now })
    this.#rates = {
      peer: perHour(submit.perPeerPerHour),
      key: perHour(submit.perKeyPerHour),
      range: perHour(submit.perRangePerHour),
      privateRange: perHour(submit.perPrivateRangePerHour),
      asks: perHour(submit.asksPerPeerPerHour)
    }
  }

  /** Whether this node gives out names of one of these registries. */
  curatesAny(registries: readonly RegistryId[]): boolean {
    const { author, gate, now } = this.#components
    return registries.some(registry => {
      const authority = gate.state(registry)?.authority
      return authority !== undefined && curates(authority, author.principal, now())
    })
  }

  /** @throws RegistryError LIMIT_EXCEEDED | MALFORMED | BAD_SIGNATURE | INADMISSIBLE_KEY: no honest program sends such */
  async submit(bytes: Uint8Array, source: SubmissionSource): Promise<SubmitAnswer> {
    const envelope = parseSubmission(bytes)
    if (!this.#mayAsk(source)) return refused('over-rate')
    if (!carries(source, envelope.body.registry)) return refused('unknown-registry')
    const asked = this.#asked(envelope)
    if ('refused' in asked) return refused(asked.refused)
    // Nothing beyond the shape is believed before this line.
    if (!verifySubmission(envelope)) {
      throw new RegistryError('BAD_SIGNATURE', 'a submission is not signed by the key that it names as its author')
    }
    admitSubmissionKeys(envelope)
    // Attack: one counted before the signature would use up what somebody else's key may ask for.
    if (source !== 'self' && !this.#rates.key.take(envelope.author)) return refused('over-rate')
    return await this.#inTurn(() => this.#decide(envelope, asked.name, source))
  }

  /** Names that were given out and that this one would be taken for. */
  similar(registry: RegistryId, name: string, but?: Principal): Promise<readonly PackageName[]> {
    const asked = nameIn(name)
    return asked === undefined ? Promise.resolve([]) : this.#components.names.near(registry, asked, but)
  }

  /** What became of an earlier one. */
  async ask(registry: RegistryId, id: SubmissionId, source: SubmissionSource): Promise<SubmitAnswer> {
    if (source !== 'self' && !this.#rates.asks.take(source.peer)) return refused('over-rate')
    const { gate, inbox } = this.#components
    if (gate.state(registry) === undefined || !carries(source, registry)) return refused('unknown-registry')
    const kept = await inbox.get(registry, id)
    return kept?.state ?? refused('unknown-submission')
  }

  /** What waits for a decision here. */
  waiting(registry: RegistryId): Promise<readonly KeptSubmission[]> {
    return this.#components.inbox.waiting(registry)
  }

  /** Gives a name to whom it was asked for, and tells the others who asked for it. @throws RegistryError NAME_TAKEN | NOT_AUTHORIZED */
  grant(
    registry: RegistryId,
    id: SubmissionId,
    { allowSimilar = false }: { readonly allowSimilar?: boolean } = {}
  ): Promise<{ readonly name: PackageName; readonly fact: FactId }> {
    return this.#inTurn(async () => {
      const kept = await this.#open(registry, id)
      const asked = this.#asked(kept.envelope)
      if ('refused' in asked) throw whyNot(kept.envelope, asked.refused)
      const taken = await this.#components.names.taken(registry, asked.name)
      const isMeant = taken !== undefined && taken.name !== asked.name && (allowSimilar || isOf(taken, kept.envelope))
      if (taken !== undefined && !isMeant) throw whyNot(kept.envelope, 'name-taken', taken.name)
      const fact = await this.#claim(kept.envelope, asked.name)
      await this.#components.inbox.decide(kept, { type: 'granted', fact })
      await this.#tellOthers(registry, asked.name)
      return { name: asked.name, fact }
    })
  }

  /** Whoever else asked for the name, or one that looks like it, waits in vain. */
  async #tellOthers(registry: RegistryId, name: PackageName): Promise<void> {
    const { inbox } = this.#components
    const skeleton = skeletonOf(name)
    for (const other of await inbox.waiting(registry)) {
      if (skeletonOf(other.envelope.body.name) !== skeleton) continue
      await inbox.decide(other, { type: 'denied', reason: `${name} was given to somebody else` })
    }
  }

  /** Refuses a name for good. */
  deny(registry: RegistryId, id: SubmissionId, reason: string): Promise<void> {
    return this.#inTurn(async () =>
      this.#components.inbox.decide(await this.#open(registry, id), { type: 'denied', reason })
    )
  }

  async #open(registry: RegistryId, id: SubmissionId): Promise<KeptSubmission> {
    const kept = await this.#components.inbox.get(registry, id)
    if (kept?.state.type === 'waiting') return kept
    throw new RegistryError('UNKNOWN_SUBMISSION', `no submission ${id} waits for a decision`, {
      next: 'ggen-node curate list shows what waits'
    })
  }

  #mayAsk(source: SubmissionSource): boolean {
    if (source === 'self') return true
    const { range, privateRange, peer } = this.#rates
    // The range first: peers are names that cost nothing, and each would take a place in the table.
    return (source.isPrivate ? privateRange : range).take(source.range) && peer.take(source.peer)
  }

  /** What costs nothing to see: whether this node has a say, and the name itself. */
  #asked({ body }: SubmissionEnvelope): { readonly name: PackageName } | { readonly refused: SubmitRefusal } {
    const { author, gate, now } = this.#components
    const state = gate.state(body.registry)
    if (state === undefined) return { refused: 'unknown-registry' }
    const name = nameIn(body.name)
    if (name === undefined || isReservedName(name)) return { refused: 'bad-name' }
    if (state.authority === undefined || !mayName(state.authority, author.principal, name, now())) {
      return { refused: 'not-a-curator' }
    }
    return { name }
  }

  async #decide(envelope: SubmissionEnvelope, name: PackageName, source: SubmissionSource): Promise<SubmitAnswer> {
    const { gate, inbox, names, now } = this.#components
    const { registry } = envelope.body
    const known = await inbox.get(registry, envelope.id)
    if (known !== undefined && known.state.type !== 'waiting') return known.state
    const taken = await names.taken(registry, name)
    if (taken !== undefined && taken.name === name) {
      // Asked again after the answer was lost, or forgotten here: it is still his.
      const isHis = taken.claim !== null && isOf(taken, envelope)
      return isHis && taken.claim !== null ? { type: 'granted', fact: taken.claim.fact } : refused('name-taken')
    }
    const isOpen = gate.state(registry)?.authority?.genesis.admission === 'open'
    // Who has a name may have those that look like it: he would be the one who is harmed. Where a person decides, he sees it.
    if (taken !== undefined && isOpen && !isOf(taken, envelope)) return refused('name-taken')
    // What comes near a name that exists is not given out by a machine.
    if (isOpen && (await names.near(registry, name, envelope.author)).length === 0) {
      return { type: 'granted', fact: await this.#claim(envelope, name) }
    }
    if (known !== undefined) return known.state
    const { peer, range } = source === 'self' ? { peer: 'self', range: 'self' } : source
    const isKept = await inbox.add({ envelope, arrived: now(), peer, range, state: { type: 'waiting' } })
    return isKept ? { type: 'waiting' } : refused('full')
  }

  async #claim({ body }: SubmissionEnvelope, name: PackageName): Promise<FactId> {
    const { author, gate, announce, names } = this.#components
    const authority = gate.state(body.registry)?.authority
    if (authority === undefined) throw new RegistryError('PENDING', 'the genesis of the registry has not arrived yet')
    const value = { authPrev: authority.head, keys: body.keys, threshold: body.threshold }
    const fact = await author.write(body.registry, name, { type: 'claim', value })
    names.noticed(body.registry, name)
    announce(body.registry, fact)
    return fact.id
  }

  /** One after the other: two strangers who ask for one name at the same moment do not both get it. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task, task)
    this.#last = run.catch(() => undefined)
    return run
  }
}

function nameIn(text: string): PackageName | undefined {
  try {
    return parsePackageName(text)
  } catch {
    return undefined
  }
}

/** Whether whoever signed the submission is among the owners of a name. */
function isOf({ claim }: PackageView, { author }: SubmissionEnvelope): boolean {
  return claim !== null && claim.keys.includes(author)
}

function carries(source: SubmissionSource, registry: RegistryId): boolean {
  return source === 'self' || source.carries?.(registry) !== false
}

function refused(reason: SubmitRefusal): SubmitAnswer {
  return { type: 'refused', reason }
}

function whyNot({ body }: SubmissionEnvelope, reason: SubmitRefusal, other?: PackageName): RegistryError {
  if (reason === 'name-taken') {
    const like = other === undefined ? 'a name that is' : shortNameOf(other)
    return new RegistryError(
      'NAME_TAKEN',
      `${shortNameOf(parsePackageName(body.name))} is given out, or looks like ${like}`,
      {
        next: 'deny it with words: ggen-node curate deny NAME --reason TEXT, or give it out with --allow-similar'
      }
    )
  }
  return new RegistryError('NOT_AUTHORIZED', `this key may not give out ${body.name}: ${reason}`, {
    next: 'ask an owner of the registry for the role of a curator'
  })
}
