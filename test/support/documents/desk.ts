import { signFact } from '../../../attestation/sign-fact.ts'
import { Author } from '../../../node/services/author.ts'
import type { Signer } from '../../../node/services/author.ts'
import { edit } from '../../../node/services/documents/editor.ts'
import type { Edited, EditorComponents } from '../../../node/services/documents/editor.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Edit } from '../../../protocol/document/edits.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { Made, Person } from '../facts.ts'
import type { TestGate } from '../gate.ts'

/** A signer whose chains are numbered: the first is that of the person. */
export function signerOf(who: Person): Signer {
  let chain = who.chain
  let renewed = 0
  return {
    principal: who.did,
    sign: body => signFact(body, who.secret),
    chain: () => chain,
    renewChain: async () => {
      renewed += 1
      chain = String(renewed).padStart(32, '0')
      return chain
    }
  }
}

/** Where edits are signed: the real author and gate, without a network. */
export interface Desk {
  readonly components: EditorComponents
  readonly signer: Signer
  say(subject: Subject, edits: readonly Edit[]): Promise<Edited>
}

export function deskOf(node: TestGate, registry: RegistryId, who: Person): Desk {
  const signer = signerOf(who)
  let time = 1_800_000_000_000
  const now = (): number => (time += 1000)
  const components: EditorComponents = {
    gate: node.gate,
    author: new Author({ gate: node.gate, signer, now }),
    signer: async () => signer,
    announce: () => {},
    now,
    documents: node.documents
  }
  const say = (subject: Subject, edits: readonly Edit[]): Promise<Edited> =>
    edit(components, { registry, subject, signer, plan: () => edits })
  return { components, signer, say }
}

/** Offers facts to the gate, and says what became of each. */
export async function admit(node: TestGate, ...facts: readonly Made[]): Promise<readonly string[]> {
  const verdicts = await node.gate.admitMany(
    facts.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  return verdicts.map(({ verdict }) => verdict)
}
