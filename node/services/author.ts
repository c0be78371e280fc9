import type { Admission } from '../../protocol/admission.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodePayload } from '../../protocol/payload.ts'
import type { Genesis, Payload } from '../../protocol/payload.ts'
import type { Source } from './admit.ts'
import type { Known } from './membership.ts'

/** One key of this device, and the chain that this data directory writes under it. */
export interface Signer {
  readonly principal: Principal
  sign(body: FactBody): Uint8Array
  /** 32 hex characters, kept in the data directory and never exported with the key. */
  chain(): string
  /** A new chain, durable before it is returned. */
  renewChain(): Promise<string>
}

export interface AuthorComponents {
  readonly gate: {
    admit(bytes: Uint8Array, source: Source): Promise<Admission>
    state(registry: RegistryId): { known(subject: Subject): Promise<Known> } | undefined
  }
  readonly signer: Signer
  readonly now: () => number
}

/** A fact of ours: durable here, and what is told to others. */
export interface AuthoredFact {
  readonly id: FactId
  readonly bytes: Uint8Array
}

/**
 * Writes our own facts, one after the other, through the same gate as everybody's.
 *
 * Invariant: a position is signed once. The next one is read from the store after the fact before it became durable,
 * so neither two commands at a time nor a crash between signing and writing makes a fork that anyone has seen.
 */
export class Author {
  readonly #components: AuthorComponents
  #last: Promise<unknown> = Promise.resolve()

  constructor(components: AuthorComponents) {
    this.#components = components
  }

  get principal(): Principal {
    return this.#components.signer.principal
  }

  /**
   * Signs and admits one fact, with the node's own key or another one of this data directory. What waits for more
   * signatures is in the set like any other: a position that was signed and kept apart would be signed again.
   * A payload that depends on the chain, or on what was written just before, is made when its turn comes.
   * @throws RegistryError NOT_AUTHORIZED when no fact of the registry named the key, or its roles were revoked
   */
  write(
    registry: RegistryId,
    subject: Subject,
    payload: Payload | ((chain: string) => Promise<Payload>),
    { signer = this.#components.signer }: { readonly signer?: Signer } = {}
  ): Promise<AuthoredFact> {
    return this.#inTurn(async () => {
      const position = await this.#position(registry, subject, signer)
      const said = typeof payload === 'function' ? await payload(position.chain) : payload
      return this.#admit({ ...this.#header(said, signer), registry, subject, ...position }, signer)
    })
  }

  /** The genesis of a new registry. Its id is the registry's; follow it before admitting. */
  genesis(value: Genesis): AuthoredFact {
    const { signer } = this.#components
    const header = this.#header({ type: 'genesis', value }, signer)
    const chain = signer.chain()
    const bytes = signer.sign({
      ...header,
      registry: null,
      subject: 'registry',
      chain,
      seq: 0,
      prev: null
    })
    return { id: parseEnvelope(bytes).id, bytes }
  }

  #header(payload: Payload, signer: Signer): Pick<FactBody, 'v' | 'type' | 'author' | 'time' | 'payload'> {
    return {
      v: 1,
      type: payload.type,
      author: signer.principal,
      time: this.#components.now(),
      payload: encodePayload(payload)
    }
  }

  async #position(
    registry: RegistryId,
    subject: Subject,
    signer: Signer
  ): Promise<Pick<FactBody, 'chain' | 'seq' | 'prev'>> {
    const { set, cut } = (await this.#components.gate.state(registry)?.known(subject)) ?? { set: [], cut: [] }
    const chain = signer.chain()
    const isMine = ({ body }: Known['set'][number]): boolean =>
      body.author === signer.principal && body.chain === chain && body.type !== 'genesis'
    const mine = set.filter(isMine)
    // Positions that a revocation cut were signed all the same: who is named again goes on in a chain of its own.
    if (cut.some(isMine)) return { chain: await signer.renewChain(), seq: 0, prev: null }
    const seq = mine.reduce((highest, { body }) => Math.max(highest, body.seq), -1) + 1
    const before = mine.filter(({ body }) => body.seq === seq - 1)
    // A chain that is full or forked is left behind: the next fact starts a new one.
    if (seq > LIMITS.fact.seq || before.length > 1) return { chain: await signer.renewChain(), seq: 0, prev: null }
    return { chain, seq, prev: before[0]?.id ?? null }
  }

  async #admit(body: FactBody, signer: Signer): Promise<AuthoredFact> {
    const bytes = signer.sign(body)
    const admission = await this.#components.gate.admit(bytes, { peer: 'self' })
    switch (admission.verdict) {
      case 'accept':
        return { id: admission.id, bytes }
      case 'pending':
        throw new RegistryError('NOT_AUTHORIZED', `the registry has never named ${signer.principal}`, {
          next: 'ask an owner of the registry to grant this key a role'
        })
      case 'ignore':
      case 'reject':
        if (admission.reason === 'revoked') throw revoked(signer.principal)
        throw new RegistryError('INTERNAL', `our own ${body.type} was refused: ${admission.reason}`)
    }
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task, task)
    this.#last = run.catch(() => undefined)
    return run
  }
}

function revoked(key: Principal): RegistryError {
  return new RegistryError('NOT_AUTHORIZED', `the roles of ${key} in this registry were revoked`, {
    next: 'ask an owner of the registry for a new grant'
  })
}
