import type { DocumentEngine } from '../../protocol/document/document.ts'
import { Engine } from './engine.ts'

/** The engine without a worker: for simulations and benches, where one thread decides what happens when. */
export function inlineEngine(): DocumentEngine {
  const engine = new Engine()
  return {
    update: async request => engine.update(request),
    compose: async request => engine.compose(request),
    close: async () => engine.dropAll()
  }
}
