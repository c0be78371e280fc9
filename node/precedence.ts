import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'
import { Precedence } from './services/precedence.ts'
import { isTraced } from './services/traces.ts'
import type { Sources } from './sources.ts'

type Composing = Pick<NodeParts, 'facts' | 'gate' | 'registries' | 'view'> & { readonly sources: Sources }

/** Which registry a name means on this node. */
export function composePrecedence({ facts, gate, registries, sources, view }: Composing): Precedence<FollowedRegistry> {
  const genesisOf = ({ id }: FollowedRegistry) => gate.state(id)?.authority?.genesis
  // Either says so: a record that a disk lost comes back without a swarm, and a genesis may not be here yet.
  const isPrivate = (entry: FollowedRegistry): boolean =>
    entry.swarm !== 'public' || genesisOf(entry)?.visibility === 'private'
  // Whoever founded a registry and was never compared with anybody about it has said all that there is to it.
  const isOwn = ({ id, made }: FollowedRegistry): boolean => made && sources.count(id) === 0
  const isRead = (entry: FollowedRegistry): boolean =>
    isPrivate(entry) ? entry.made || sources.count(entry.id) > 0 : genesisOf(entry) !== undefined
  return new Precedence({
    registries,
    find: view.find.bind(view),
    isTraced: async (registry, name, hasRow) => {
      if (!hasRow && facts.cutCount(registry) === 0) return false
      const state = gate.state(registry)
      return state === undefined ? hasRow : isTraced(state, name)
    },
    near: view.near.bind(view),
    isPrivate,
    isRead,
    isFresh: entry => isOwn(entry) || sources.isFresh(entry.id),
    heardAt: ({ id }) => sources.heardAt(id)
  })
}
