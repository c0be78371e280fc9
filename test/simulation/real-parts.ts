import { inlineEngine } from '../../node/documents/inline.ts'
import { Gate } from '../../node/services/admit.ts'
import { Author } from '../../node/services/author.ts'
import { step } from '../../protocol/sync/step.ts'
import { DocumentStore } from '../../storage/document-store.ts'
import type { Parts } from './parts.ts'
import { openRealStore } from './real-store.ts'

/** The parts of the product. */
export const REAL_PARTS: Parts = {
  name: 'real',
  openStore: openRealStore,
  createGate: components => new Gate(components),
  createAuthor: components => new Author(components),
  openDocuments: (kv, store) => new DocumentStore(kv, store),
  createEngine: () => inlineEngine(),
  step,
  wrapDriver: driver => driver,
  chainOfCopy: (_, rng) => Buffer.from(rng.bytes(16)).toString('hex')
}
