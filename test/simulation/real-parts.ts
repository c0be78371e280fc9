import { Gate } from '../../node/services/admit.ts'
import { Author } from '../../node/services/author.ts'
import { step } from '../../protocol/sync/step.ts'
import type { Parts } from './parts.ts'
import { openRealStore } from './real-store.ts'

/** The parts of the product. */
export const REAL_PARTS: Parts = {
  name: 'real',
  openStore: openRealStore,
  createGate: components => new Gate(components),
  createAuthor: components => new Author(components),
  step,
  wrapDriver: driver => driver,
  chainOfCopy: (_, rng) => Buffer.from(rng.bytes(16)).toString('hex')
}
