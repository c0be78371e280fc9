import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { packageContent } from './package-content.ts'
import type { NodeParts } from './parts.ts'
import type { Projects } from './project-store.ts'
import { tagReader, wordsReader } from './services/documents/words.ts'
import type { InstallComponents } from './services/install.ts'
import type { Judge } from './services/policy/judge.ts'
import type { WriteReceipt } from './services/policy/receipt.ts'
import { statedRelease } from './services/project/stated-release.ts'
import { resolveNodes } from './services/resolve.ts'
import type { Sources } from './sources.ts'
import { noteInstalled } from './store-parts.ts'

type InstallCore = Pick<
  NodeParts,
  'clock' | 'log' | 'facts' | 'registries' | 'spaces' | 'swarms' | 'gateways' | 'meter' | 'disk' | 'projectPins'
> & { readonly projects: Projects }

interface Installing {
  readonly gate: NodeParts['gate']
  readonly reading: Parameters<typeof wordsReader>[0]
  readonly precedence: NodeParts['precedence']
  readonly keeper: NodeParts['keeper']
  readonly sources: Sources
  readonly judge: Judge
  readonly similar: InstallComponents['similar']
  readonly askDomains: InstallComponents['askDomains']
  readonly receipt: WriteReceipt
  readonly provide: (registry: RegistryId, root: ContentId) => void
  readonly version: string
}

/** What installing needs. */
export function composeInstalling(core: InstallCore, parts: Installing): InstallComponents {
  const { clock, log, facts, projects } = core
  const { gate, reading, precedence, keeper, sources, judge, askDomains, similar, receipt, provide, version } = parts
  return {
    find: reading.find,
    words: wordsReader(reading),
    tag: tagReader(reading),
    release: (registry, said) => statedRelease({ facts, gate, find: reading.find }, registry, said),
    registries: () => core.registries.all,
    followed: core.registries,
    precedence,
    solve: resolveNodes,
    open: folder => projects.open(folder),
    content: {
      ...packageContent({ ...core, keeper, provide }),
      isRelayed: peer => core.swarms.isRelayed(peer)
    },
    onInstalled: noteInstalled(core, log),
    judge,
    askDomains,
    similar,
    receipt,
    version,
    isUnconfirmed: registry => isUnconfirmed(core, sources, registry),
    now: () => clock.now()
  }
}

/** One peer alone has shown what a registry says, and nobody said that this is enough. */
function isUnconfirmed({ registries }: InstallCore, sources: Sources, registry: RegistryId): boolean {
  const isAccepted = registries.all.some(({ id, singleSource }) => id === registry && singleSource)
  return sources.count(registry) === 1 && !isAccepted
}
