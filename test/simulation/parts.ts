import type { Gate, GateComponents, GateStore } from '../../node/services/admit.ts'
import type { Author, AuthorComponents } from '../../node/services/author.ts'
import type { DocumentRecords } from '../../node/services/documents/documents.ts'
import type { RowReader } from '../../node/services/registry-view.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { DocumentEngine } from '../../protocol/document/document.ts'
import type { ItemSet } from '../../protocol/sync/item-set.ts'
import type { step } from '../../protocol/sync/step.ts'
import type { DocumentStore } from '../../storage/document-store.ts'
import type { FactStore } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import type { Rng } from './rng.ts'
import type { SimHeads } from './sim-heads.ts'
import type { SyncDriver } from './sync-driver.ts'

/** What the simulator uses of the fact store. */
export interface StorePart extends GateStore, RowReader {
  set(registry: RegistryId): ItemSet
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
  /** Records were lost: the views are folded again, and the chain is renewed. */
  readonly isLossy: boolean
  /** Those that are unknown here, in the set or beside it. */
  unknown(registry: RegistryId, ids: readonly FactId[]): Promise<readonly FactId[]>
  exclusively: FactStore['exclusively']
  isOpen: FactStore['isOpen']
}

/** What the simulator uses of the store of documents. */
export type DocumentRecordsPart = DocumentRecords & Pick<DocumentStore, 'states'>

export type GatePart = Pick<Gate, 'open' | 'admit' | 'admitMany' | 'state' | 'pendingCount'>

export type AuthorPart = Pick<Author, 'write' | 'genesis'>

/** What lives as long as a home: a part that keeps something beside the store keeps it here. */
export interface HomeMemory {
  readonly node: string
  readonly kept: Map<string, unknown>
  readonly heads?: SimHeads
}

/**
 * The parts of a node, all of them real. A planted bug is another implementation of one of them, given to the simulator;
 * the product knows nothing of it.
 */
export interface Parts {
  readonly name: string
  openStore(kv: KeyValue, registry: RegistryId, home: HomeMemory): Promise<StorePart>
  createGate(components: GateComponents & { readonly store: StorePart }, home: HomeMemory): GatePart
  createAuthor(components: AuthorComponents, home: HomeMemory): AuthorPart
  openDocuments(kv: KeyValue, store: StorePart, home: HomeMemory): DocumentRecordsPart
  createEngine(home: HomeMemory): DocumentEngine
  readonly step: typeof step
  /** What stands between the network and the sync step. */
  wrapDriver(driver: SyncDriver): SyncDriver
  /** The chain that a home writes under after it was made of a copy. */
  chainOfCopy(chain: string, rng: Rng): string
}
