import { createPrivateKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { factIdOf } from '../protocol/cid.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { encodeBody, encodeEnvelope, signedBytes } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { encodePayload } from '../protocol/payload.ts'
import type { Payload } from '../protocol/payload.ts'
import { person } from '../test/support/facts.ts'
import type { Person } from '../test/support/facts.ts'

const CURATORS = 2
const PUBLISHERS = 8
const OWNERS = 24

/** A fact of a corpus, as the next one of its chain needs it. */
export interface Signed {
  readonly id: FactId
  readonly bytes: Uint8Array
  readonly seq: number
}

interface Place {
  readonly registry: RegistryId | null
  readonly about: Subject
}

/** Somebody who signs many facts. */
export interface Signatory extends Person {
  /** The signatures are those of attestation/keys.ts (Ed25519 has one for each message) and cost a tenth of the time. */
  readonly key: KeyObject
}

/** The same key in every run. */
export function signatory(name: string): Signatory {
  const one = person(name)
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), one.secret])
  return { ...one, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) }
}

function signatories(name: string, count: number): readonly Signatory[] {
  return Array.from({ length: count }, (_, i) => signatory(`bench ${name} ${i}`))
}

/** Signs facts of one registry, each some seconds after the one before. */
export class Writer {
  readonly root: Signatory
  readonly curators = signatories('curator', CURATORS)
  readonly publishers = signatories('publisher', PUBLISHERS)
  readonly owners = signatories('owner', OWNERS)
  readonly genesis: Signed
  readonly registry: RegistryId
  #time = 1_700_000_000_000

  constructor(name = 'bench') {
    this.root = signatory(name)
    const value = {
      name,
      roots: [this.root.did],
      threshold: 1,
      recovery: person('bench recovery').did,
      admission: 'curated' as const,
      visibility: 'public' as const,
      nonce: new Uint8Array(16)
    }
    this.genesis = this.#sign(this.root, { registry: null, about: 'registry' }, { type: 'genesis', value })
    this.registry = this.genesis.id as string as RegistryId
  }

  /** @param last the fact before in this author's chain about the subject */
  write(by: Signatory, about: Subject, payload: Payload, last?: Signed): Signed {
    return this.#sign(by, { registry: this.registry, about }, payload, last)
  }

  #sign(by: Signatory, { registry, about }: Place, payload: Payload, last?: Signed): Signed {
    this.#time += 7_000
    const seq = last === undefined ? 0 : last.seq + 1
    const bodyBytes = encodeBody({
      v: 1,
      type: payload.type,
      registry,
      subject: about,
      author: by.did,
      chain: by.chain,
      seq,
      prev: last?.id ?? null,
      time: this.#time,
      payload: encodePayload(payload)
    })
    const signature = new Uint8Array(sign(null, signedBytes(payload.type, bodyBytes), by.key))
    return { id: factIdOf(bodyBytes), bytes: encodeEnvelope(bodyBytes, signature), seq }
  }
}

/** Goes round. */
export function at<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length]
  if (found === undefined) throw new Error('an empty list has no members')
  return found
}
