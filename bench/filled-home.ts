import { join } from 'node:path'
import { initHome } from '../node/home.ts'
import { Gate } from '../node/services/admit.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { FactStore } from '../storage/fact-store.ts'
import { homePaths } from '../storage/home.ts'
import { openLevel } from '../storage/level-key-value.ts'
import type { KeyValue } from '../storage/key-value.ts'
import { Records } from '../storage/records.ts'
import { makeCorpus } from './corpus.ts'
import type { Corpus, Shape } from './corpus.ts'
import type { Workbench } from './workbench.ts'

/** 10,000 packages with one release each. */
export const MANY: Shape = { packages: 10_000, releases: 1 }

/** As many packages as the design promises to serve. */
export const MOST: Shape = { packages: 50_000, releases: 1 }

/** As many releases, of fewer packages. */
export const DEEP: Shape = { packages: 10_000, releases: 5 }

/** A gate over a level store in a folder. */
export interface OpenedGate {
  readonly gate: Gate
  readonly store: FactStore
  readonly records: Records
  readonly kv: KeyValue
  readonly close: () => Promise<void>
}

/** Opens the real gate over the real store for one registry. */
export async function openGate(folder: string, registry: RegistryId): Promise<OpenedGate> {
  const kv = await openLevel(folder)
  const store = new FactStore(kv)
  await store.open(registry)
  const gate = new Gate({ store, mayAsk: () => true })
  await gate.open(registry)
  return { gate, store, records: new Records(kv), kv, close: () => kv.close() }
}

/** Admits everything and makes sure that everything was accepted. */
export async function admitAll(gate: Gate, registry: RegistryId, facts: Iterable<Uint8Array>): Promise<void> {
  let batch: Uint8Array[] = []
  const admit = async (): Promise<void> => {
    const verdicts = await gate.admitMany(batch, { peer: 'bench', registry })
    batch = []
    const refused = verdicts.find(({ verdict }) => verdict !== 'accept')
    if (refused !== undefined) throw new Error(`a fact was not accepted: ${JSON.stringify(refused)}`)
  }
  for (const bytes of facts) {
    batch.push(bytes)
    if (batch.length === LIMITS.admission.factsPerBatch) await admit()
  }
  await admit()
}

/** A data directory that follows one registry and holds all of it. */
export interface FilledHome {
  readonly home: string
  readonly registry: RegistryId
  readonly facts: number
}

/** Made once for the run. Readers must leave it as it is. */
export function filledHome(workbench: Workbench, shape: Shape): Promise<FilledHome> {
  return workbench.once(`filled-${shape.packages}-${shape.releases}`, async folder => {
    const home = join(folder, 'home')
    await initHome(home)
    const corpus = makeCorpus(shape)
    return { home, registry: corpus.registry, facts: await fill(home, corpus) }
  })
}

async function fill(home: string, { registry, facts }: Corpus): Promise<number> {
  const { gate, store, records, close } = await openGate(homePaths(home).store, registry)
  try {
    await records.putRegistries([
      { id: registry, alias: 'bench', isDefault: true, singleSource: true, swarm: 'public', made: true, order: 1 }
    ])
    await admitAll(gate, registry, facts())
    return store.head(registry).count
  } finally {
    await close()
  }
}
