import { Author } from '../../node/services/author.ts'
import { Desk } from '../../node/services/submit/desk.ts'
import type { SubmissionSource } from '../../node/services/submit/desk.ts'
import { Inbox } from '../../node/services/submit/inbox.ts'
import { NameIndex } from '../../node/services/submit/name-index.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { isPackage } from '../../protocol/subject.ts'
import type { Genesis } from '../../protocol/payload.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { Records } from '../../storage/records.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { FactWriter, person } from './facts.ts'
import type { Person } from './facts.ts'
import { openGate } from './gate.ts'

export const root = person('root')

export const clock = { now: 0 }

/** A desk over a real gate, store and inbox: a curator's node without a network. */
export async function openDesk(
  admission: Genesis['admission'],
  {
    by = root,
    kv = memoryKeyValue(),
    more
  }: { by?: Person; kv?: KeyValue; more?: (writer: FactWriter) => unknown } = {}
) {
  const writer = new FactWriter(root, { admission })
  more?.(writer)
  const registry = writer.registry
  const { gate, view, store } = await openGate(registry, kv)
  await gate.admitMany(
    writer.all.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  const chain = person(by === root ? 'desk' : 'other desk').chain
  const author = new Author({
    gate,
    now: () => clock.now,
    signer: {
      principal: by.did,
      sign: body => signFact(body, by.secret),
      chain: () => chain,
      renewChain: async () => chain
    }
  })
  const names = new NameIndex({
    find: (of, name) => view.find(of, name),
    async *names(of) {
      for await (const [subject] of store.rows(of)) if (isPackage(subject)) yield subject
    }
  })
  const inbox = new Inbox(new Records(kv))
  const announced: string[] = []
  const desk = new Desk({
    author,
    gate,
    names,
    inbox,
    announce: (_, { id }) => announced.push(id),
    now: () => clock.now
  })
  return { desk, registry, view, kv, inbox, announced, writer }
}

export const from = (peer: string, range = '203.0.113'): SubmissionSource => ({ peer, range, isPrivate: false })
export const refused = (reason: string) => ({ type: 'refused', reason })
