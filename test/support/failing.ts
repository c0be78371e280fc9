import type { KeyValue } from '../../storage/key-value.ts'

/** What a broken write throws, so that tests can tell it from the errors of the code under test. */
export class PlannedFailure extends Error {
  override readonly name = 'PlannedFailure'
}

/**
 * Breaks one write: the first batch that touches a key for which `at` holds. `persisted: true` is the cruel case: the
 * write landed and the answer was lost. Every durable step is tested with both.
 */
export function failing(
  store: KeyValue,
  at: (key: string) => boolean,
  { persisted }: { readonly persisted: boolean }
): KeyValue {
  let isArmed = true
  return {
    get: key => store.get(key),
    getMany: keys => store.getMany(keys),
    has: key => store.has(key),
    iterate: range => store.iterate(range),
    close: () => store.close(),
    batch: async (ops, options) => {
      if (!isArmed || !ops.some(op => at(op.key))) return store.batch(ops, options)
      isArmed = false
      if (persisted) await store.batch(ops, options)
      throw new PlannedFailure(persisted ? 'landed, and the answer was lost' : 'did not land')
    }
  }
}
