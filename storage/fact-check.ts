import { equalBytes } from '../protocol/bytes.ts'
import type { RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { encodeEntry, encodeNames, KEYS, keysFrom, placeIn, readFact } from './fact-records.ts'
import type { FactWrite } from './fact-records.ts'
import { isDamage } from './fact-stock.ts'
import type { KeyValue } from './key-value.ts'

/**
 * What is wrong with the records about one subject: every fact read and hashed, and every record that belongs to it asked
 * for by its key, as readers do. LevelDB finds a record by an index and a filter; where a bit of those flipped, the record
 * is met by who walks past it and hidden from who asks for it.
 */
export async function faultsOf(kv: KeyValue, registry: RegistryId, subject: Subject): Promise<readonly string[]> {
  const faults: string[] = []
  for (const kind of ['body', 'cut'] as const) {
    const prefix = `${kind}!${registry}!${subject}!`
    try {
      for await (const [key, bytes] of kv.iterate({ ...keysFrom(prefix), onDamage: key => faults.push(key) })) {
        const fact = readFact(bytes, { ...placeIn(key, prefix), subject })
        if (fact === undefined) faults.push(key)
        else faults.push(...(await missing(kv, recordsOf(registry, fact, kind))))
      }
    } catch (error) {
      if (!isDamage(error)) throw error
      faults.push(prefix)
    }
  }
  return faults
}

type Wanted = readonly (readonly [key: string, value: Uint8Array])[]

function recordsOf(registry: RegistryId, fact: FactWrite, kind: 'body' | 'cut'): Wanted {
  const { id, names, bytes } = fact
  const none = new Uint8Array(0)
  const inSet = kind === 'body'
  return [
    [inSet ? KEYS.fact(registry, id) : KEYS.cutId(registry, id), encodeEntry(fact)],
    [inSet ? KEYS.body(registry, fact) : KEYS.cut(registry, fact), bytes],
    [KEYS.who(registry, fact), none],
    ...(names.length === 0 ? [] : [[KEYS.names(registry, fact), encodeNames(names)] as const]),
    ...(inSet ? names.map(key => [KEYS.named(registry, key), none] as const) : [])
  ]
}

async function missing(kv: KeyValue, wanted: Wanted): Promise<readonly string[]> {
  const found = await kv.getMany(wanted.map(([key]) => key))
  return wanted.flatMap(([key, value], i) => {
    const stored = found[i]
    return stored !== undefined && equalBytes(stored, value) ? [] : [key]
  })
}
