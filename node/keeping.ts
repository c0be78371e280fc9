import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { isPackage } from '../protocol/subject.ts'
import type { BlockKeeper } from './block-keeper.ts'
import type { Changes } from './changes.ts'
import { fetchInto } from './content.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Gateways } from './gateway-source.ts'
import type { NodeMeter } from './meter.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import { Mirror } from './services/mirror.ts'
import type { Wanted } from './services/mirror.ts'
import type { RegistryView } from './services/registry-view.ts'
import type { Spaces } from './spaces.ts'
import type { Swarms } from './swarms.ts'

export interface KeepingInit {
  readonly clock: Clock
  readonly log: Log
  readonly disk: DiskGuard
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly gateways: Gateways
  readonly meter: NodeMeter
  readonly changes: Changes
  readonly keeper: BlockKeeper
  /** A content did not come. */
  readonly onFailed: (root: ContentId, error: unknown) => void
}

/** Keeps what is to be kept, one content root after the other. */
export function mirrorOf(init: KeepingInit): Mirror {
  const { clock, log, stopping, spaces, swarms, changes } = init
  return new Mirror({
    placeOf: registry => spaces.of(registry),
    isRefused: root => spaces.takedowns.isTakenDown(root),
    fetch: (wanted, signal) => fetchInto(init, wanted, signal),
    later: (ms, task) => clock.after(ms, task, stopping),
    onLookFailed: (subject, error) => log.warn({ subject, error }, 'what there is to keep could not be read'),
    onLooked: () => changes.emit(),
    onKept: ({ registry, root }) => {
      swarms.of(registry)?.provide(toLink(root))
      changes.emit()
    },
    onFailed: (root, error) => {
      log.info({ root, error }, 'content could not be fetched yet')
      init.onFailed(root, error)
      changes.emit()
    }
  })
}

type Kept = Pick<BlockKeeper, 'contentsIn' | 'contentsOf' | 'predicatesIn'>

/** What a registry holds already, and is to be kept, is fetched in the background. */
export async function wantAllOf(keeper: Kept, mirror: Mirror, registry: RegistryId): Promise<void> {
  for await (const { root, size } of keeper.contentsOf(registry)) mirror.want({ registry, root, size })
}

/** A fact that was accepted, and the peer that it came from. */
export interface Told {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly teller: string | undefined
}

/** Looks at one package after a fact about it, and at all of them after one about who may do what. */
export function keepWhatCounts(
  { view, mirror, keeper }: { readonly view: RegistryView; readonly mirror: Mirror; readonly keeper: Kept },
  { registry, subject, teller }: Told
): void {
  const toWanted = ({ root, size }: Pick<Wanted, 'root' | 'size'>): Wanted => ({ registry, root, size, teller })
  mirror.consider(`${registry} ${subject}`, async () => {
    if (subject === 'registry') return contentsOf(keeper, registry)
    if (!isPackage(subject)) return keeper.predicatesIn(registry, await view.said(registry, subject)).map(toWanted)
    const found = await view.find(registry, subject)
    if (found === undefined) return []
    return keeper.contentsIn(registry, found).map(toWanted)
  })
}

async function contentsOf(keeper: Kept, registry: RegistryId): Promise<readonly Wanted[]> {
  const all: Wanted[] = []
  for await (const { root, size } of keeper.contentsOf(registry)) all.push({ registry, root, size })
  return all
}
