import { verifySwarmKey } from '../../../attestation/sign-membership.ts'
import type { Authority } from '../../../protocol/authority.ts'
import { compareBytes, equalBytes } from '../../../protocol/bytes.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { privateKeys } from '../../../protocol/membership/names.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import { parseSwarmKey } from '../../../protocol/membership/swarm-key.ts'
import type { SwarmKey } from '../../../protocol/membership/swarm-key.ts'
import { isOwner } from './standings.ts'
import type { PreviousSecret, SwarmSecrets, SwarmStore } from './swarm-store.ts'

/** `HelloSecret` of `node/p2p/membership.ts`. */
export interface SecretOfHello {
  readonly epoch: number
  readonly key: Uint8Array
}

export interface SecretsComponents {
  readonly registry: RegistryId
  readonly store: Pick<SwarmStore, 'putSecrets'>
  readonly authority: () => Authority | undefined
  readonly now: () => number
}

/** What a token says of a secret. */
export type Told = Pick<SwarmSecrets, 'secret' | 'epoch' | 'psk'>

/**
 * The secrets of a swarm: the one it is called by now, and the one before for as long as they overlap.
 *
 * Invariants:
 * 1. A secret is durable before it is used.
 * 2. All that hear of the same records and facts end with the same secret, in whatever order they hear of them: what an
 *    owner has signed before what somebody has who is none any more, then the highest epoch, and of one epoch the record
 *    that sorts first.
 */
export class Secrets {
  readonly #components: SecretsComponents
  #current: SwarmSecrets
  #proposed: Told | undefined
  #last: Promise<unknown> = Promise.resolve()
  readonly #helloKeys = new WeakMap<Uint8Array, Uint8Array>()

  constructor(components: SecretsComponents, secrets: SwarmSecrets) {
    this.#components = components
    this.#current = secrets
  }

  get current(): SwarmSecrets {
    return this.#current
  }

  /** What a token said that nobody has confirmed yet. */
  get proposed(): Told | undefined {
    return this.#proposed
  }

  /** The newest first. */
  forHello(): readonly SecretOfHello[] {
    const { secret, epoch } = this.#current
    const newest = { epoch, key: this.#helloKey(secret) }
    const proposed = this.#proposed
    // In the place of the one before: a hello has room for two, and whoever still has that one has a newer one soon.
    if (proposed !== undefined) return [{ epoch: proposed.epoch, key: this.#helloKey(proposed.secret) }, newest]
    return [newest, ...this.overlapping.map(each => ({ epoch: each.epoch, key: this.#helloKey(each.secret) }))]
  }

  /** The secret before, while it is good. */
  get overlapping(): readonly PreviousSecret[] {
    const { previous } = this.#current
    return previous === null || previous.until <= this.#components.now() ? [] : [previous]
  }

  /**
   * Takes over a record, if it is newer than what is known and an owner has signed it.
   * @returns true when something changed
   * @throws RegistryError MALFORMED
   */
  take(bytes: Uint8Array): Promise<boolean> {
    const record = read(bytes)
    return this.#inTurn(async () => {
      const known = this.#current
      if (!this.#isNewer(record, known) || !this.#isSigned(record)) return false
      const { secret, epoch, psk } = record.body
      await this.#put({ secret, epoch, psk, previous: previousOf(known, record.body), record: bytes })
      return true
    })
  }

  /**
   * Holds hellos under what a token says too, if it is newer. Attack: a forged token, which costs whoever believes it the
   * secret of the swarm. So it is in memory alone until `settle`.
   */
  propose({ secret, epoch, psk }: Told): boolean {
    if (!this.#isAhead({ secret, epoch, psk })) return false
    this.#proposed = { secret, epoch, psk }
    return true
  }

  /** `under`: the key of the hello in which a member has accepted us. What was proposed is taken over if it is that one. */
  async settle(under: Uint8Array | undefined): Promise<boolean> {
    const proposed = this.#proposed
    if (proposed === undefined) return false
    const isConfirmed = under !== undefined && equalBytes(under, this.#helloKey(proposed.secret))
    try {
      return isConfirmed && (await this.adopt(proposed))
    } finally {
      this.#proposed = undefined
    }
  }

  /** Takes over what a token says, if it is newer, and a member has confirmed it. */
  adopt({ secret, epoch, psk }: Told): Promise<boolean> {
    return this.#inTurn(async () => {
      const known = this.#current
      if (!this.#isAhead({ secret, epoch, psk })) return false
      const until = this.#components.now() + LIMITS.membership.overlapDefaultMs
      const previous = { secret: known.secret, epoch: known.epoch, until }
      await this.#put({ secret, epoch, psk, previous, record: null })
      return true
    })
  }

  #isAhead({ secret, epoch }: Told): boolean {
    const known = this.#current
    const isNear = epoch > known.epoch && epoch - known.epoch <= LIMITS.membership.epochsAtOnce
    return isNear && !equalBytes(secret, known.secret)
  }

  async #put(secrets: SwarmSecrets): Promise<void> {
    await this.#components.store.putSecrets(secrets)
    this.#current = secrets
  }

  /** Was the newest secret given by somebody who is an owner no longer? */
  get isDoubtful(): boolean {
    const { record } = this.#current
    if (record === null || this.#components.authority() === undefined) return false
    return !this.#isOwner(parseSwarmKey(record).body.by)
  }

  #isNewer({ bytes, body }: SignedRecord<SwarmKey>, known: SwarmSecrets): boolean {
    // Attack: one record uses up all numbers that there are, and nobody can rotate again.
    if (body.epoch > known.epoch) return body.epoch - known.epoch <= LIMITS.membership.epochsAtOnce
    // Attack: who was expelled as an owner gives its own secret, of any epoch, to whoever has not heard of it yet. What
    // was good before both is never gone back to.
    if (this.isDoubtful && body.epoch > (known.previous?.epoch ?? known.epoch - 1)) return true
    if (body.epoch < known.epoch) return false
    // What came with a token gets its record, or gives way to one that an owner has signed.
    return known.record === null || compareBytes(bytes, known.record) < 0
  }

  #isSigned(record: SignedRecord<SwarmKey>): boolean {
    const { registry, now } = this.#components
    const { body } = record
    if (body.registry !== registry || body.time > now() + LIMITS.membership.clockSkewMs) return false
    return this.#isOwner(body.by) && verifySwarmKey(record)
  }

  #isOwner(key: Principal): boolean {
    const { authority, now } = this.#components
    const known = authority()
    return known !== undefined && isOwner(known, key, now())
  }

  #helloKey(secret: Uint8Array): Uint8Array {
    const known = this.#helloKeys.get(secret)
    if (known !== undefined) return known
    const key = privateKeys(secret).hello
    this.#helloKeys.set(secret, key)
    return key
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task, task)
    this.#last = run.catch(() => undefined)
    return run
  }
}

/** Who hears of two records of one epoch has met both sides under the secret before. */
function previousOf(known: SwarmSecrets, { epoch, secret, overlapUntil }: SwarmKey): PreviousSecret | null {
  if (epoch > known.epoch && !equalBytes(secret, known.secret))
    return { secret: known.secret, epoch: known.epoch, until: overlapUntil }
  return known.previous === null ? null : { ...known.previous, until: overlapUntil }
}

function read(bytes: Uint8Array): SignedRecord<SwarmKey> {
  try {
    return parseSwarmKey(bytes)
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code === 'MALFORMED') throw cause
    throw new RegistryError('MALFORMED', 'the record of a swarm secret is too large', { cause })
  }
}
