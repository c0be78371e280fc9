import type { Core, NodeInit } from './core.ts'
import { askDomain, systemTxt } from './dns-lookup.ts'
import type { Gate } from './services/admit.ts'
import { Publishers } from './services/publisher/publishers.ts'

/** What knows which keys are bound to domains. A node without a network asks only when a person says so. */
export function composePublishers(
  { config, network, resolveTxt }: Pick<NodeInit, 'config' | 'network' | 'resolveTxt'>,
  { clock, domains, gate, registries }: Pick<Core, 'clock' | 'domains' | 'registries'> & { readonly gate: Gate }
): Publishers {
  const { dns } = config
  const resolve = resolveTxt ?? systemTxt(dns.servers)
  return new Publishers({
    gate,
    registries,
    // What nobody here can tell yet is private: a name that was asked for cannot be taken back.
    isPrivate: registry => gate.state(registry)?.authority?.genesis.visibility !== 'public',
    records: domains,
    lookUp: (domain, signal) => askDomain(resolve, domain, { signal }),
    settings: { lookups: dns.lookups && network, private: dns.private },
    now: () => clock.now()
  })
}
