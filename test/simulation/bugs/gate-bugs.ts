import { parseEnvelope } from '../../../protocol/fact.ts'
import { REAL_PARTS } from '../real-parts.ts'
import type { GatePart, Parts, StorePart } from '../parts.ts'

/** The part with some of its methods replaced; the others are its own. */
export function replaced<T extends object>(part: T, methods: Partial<T>): T {
  return new Proxy(part, {
    get(target, name) {
      const method: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name)
      if (typeof method !== 'function') return method
      const bound: unknown = method.bind(name in methods ? methods : target)
      return bound
    }
  })
}

/** A gate that takes whatever is signed, whoever signed it. */
export const strangersWelcome: Parts = {
  ...REAL_PARTS,
  name: 'accepts authors that nobody has named',
  createGate: (components, home) => {
    const areNamed: StorePart['areNamed'] = async (_, keys) => keys.map(() => true)
    return REAL_PARTS.createGate({ ...components, store: replaced(components.store, { areNamed }) }, home)
  }
}

/** A store that never waits for the disk. */
export const acknowledgesEarly: Parts = {
  ...REAL_PARTS,
  name: 'acknowledges before it is durable',
  openStore: async (kv, registry, home) =>
    REAL_PARTS.openStore(replaced(kv, { batch: ops => kv.batch(ops, { sync: false }) }), registry, home)
}

/** A gate for which the first body at a position is the only one. */
export const forksHidden: Parts = {
  ...REAL_PARTS,
  name: 'hides forks: the first one wins',
  createGate: (components, home) => {
    const gate = REAL_PARTS.createGate(components, home)
    const isSecond = async (bytes: Uint8Array): Promise<boolean> => {
      const { id, body } = parseEnvelope(bytes)
      if (body.registry === null) return false
      const known = (await gate.state(body.registry)?.factsOf(body.subject)) ?? []
      return known.some(
        ({ id: other, body: at }) =>
          other !== id &&
          at.author === body.author &&
          at.chain === body.chain &&
          at.seq === body.seq &&
          at.registry !== null
      )
    }
    const admit: GatePart['admit'] = async (bytes, source) => {
      const isHidden = await isSecond(bytes).catch(() => false)
      return isHidden ? { verdict: 'ignore', reason: 'over-rate' } : gate.admit(bytes, source)
    }
    const admitMany: GatePart['admitMany'] = async (facts, source) => {
      const verdicts = []
      for (const fact of facts) verdicts.push(await admit(fact, source))
      return verdicts
    }
    return replaced(gate, { admit, admitMany })
  }
}

/** A store in which nothing ever leaves the set. */
export const keepsCutFacts: Parts = {
  ...REAL_PARTS,
  name: 'keeps in the set what a revocation cuts',
  createGate: (components, home) => {
    const { store } = components
    const commit: StorePart['commit'] = (batch, options) => store.commit({ ...batch, leave: [] }, options)
    return REAL_PARTS.createGate({ ...components, store: replaced(store, { commit }) }, home)
  }
}
