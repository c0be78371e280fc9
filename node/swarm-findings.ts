import type { Finding } from './services/api.ts'
import type { ShownSwarm } from './services/swarm/methods.ts'

/** What `doctor` says of each private swarm: whether its host runs, and whether this node may stay in it. */
export function swarmFindings(swarms: readonly ShownSwarm[], now: number): readonly Finding[] {
  return swarms.map(swarm => {
    const check = `swarm ${swarm.alias}`
    const { certificate, running, peers, warnings } = swarm
    const days = certificate === null ? 0 : Math.floor((certificate.expires - now) / (24 * 3_600_000))
    const said = certificate === null ? 'no certificate' : `certificate good for ${days} days`
    const text = `${running ? `${peers} connected` : 'its host does not run'}, ${said}`
    if (certificate !== null && certificate.expires <= now) {
      const over = `its certificate is over since ${new Date(certificate.expires).toISOString()}`
      return { check, ok: false, text: `${over}: members let this node in no more`, next: RENEW }
    }
    const [first] = warnings
    if (first !== undefined) return { check, ok: false, text: `${text}; ${warnings.join('; ')}`, next: RENEW }
    return { check, ok: true, text, ...(running ? {} : { next: 'ggen-node start' }) }
  })
}

const RENEW =
  'let the node run until it has met an owner or curator (ggen-node members shows them), or ask one for a new invite'
