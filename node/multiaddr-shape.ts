import { isIP } from 'node:net'

/** What a protocol in an address takes after its name; `none` for those that take nothing. */
type Takes = 'none' | 'ip4' | 'ip6' | 'name' | 'port' | 'peer' | 'text'

/** The protocols that this program's addresses are made of. Others would be refused by the network anyway, later. */
const PROTOCOLS: Readonly<Record<string, Takes>> = {
  dns: 'name',
  dns4: 'name',
  dns6: 'name',
  dnsaddr: 'name',
  ip4: 'ip4',
  ip6: 'ip6',
  ip6zone: 'text',
  p2p: 'peer',
  'p2p-circuit': 'none',
  sni: 'name',
  tcp: 'port',
  tls: 'none',
  ws: 'none',
  wss: 'none'
}

const EXAMPLE = 'write it like /ip4/10.0.0.5/tcp/4917'

/**
 * Why a text can't be a multiaddr, or undefined when it can. By shape alone, without the network's libraries, so that a
 * command line and a configuration file are checked in a moment; what the network makes of it is decided when it starts.
 */
export function multiaddrFault(text: string): string | undefined {
  if (!text.startsWith('/')) return `it does not begin with "/": ${EXAMPLE}`
  const parts = text.replace(/\/$/, '').split('/').slice(1)
  if (parts.length < 2) return `it names a protocol and nothing else: ${EXAMPLE}`
  for (let i = 0; i < parts.length; i++) {
    const protocol = parts[i] ?? ''
    const takes = Object.hasOwn(PROTOCOLS, protocol) ? PROTOCOLS[protocol] : undefined
    if (takes === undefined) return `${JSON.stringify(protocol.slice(0, 40))} is no protocol it may name: ${EXAMPLE}`
    if (takes === 'none') continue
    i += 1
    const value = parts[i]
    if (value === undefined) return `nothing stands behind /${protocol}`
    const fault = valueFault(takes, value)
    if (fault !== undefined) return `${JSON.stringify(value.slice(0, 80))} behind /${protocol} is no ${fault}`
  }
  return undefined
}

/** Why a text can't be an address to listen on: the only transport is TCP. */
export function listenAddressFault(text: string): string | undefined {
  const fault = multiaddrFault(text)
  if (fault !== undefined) return fault
  return /\/tcp\/[0-9]+/.test(text) ? undefined : `it names no TCP port: ${EXAMPLE}`
}

/** Why a text can't be the address of one peer, which ends in `/p2p/<peer id>`. */
export function peerAddressFault(text: string): string | undefined {
  const fault = multiaddrFault(text)
  if (fault !== undefined) return fault
  return /\/p2p\/[^/]+\/?$/.test(text) ? undefined : 'it names no peer: add /p2p/<peer id>'
}

/** An Ed25519 id, an older hash of a key, or the CID of either. */
export function isPeerId(text: string): boolean {
  return /^(?:12D3KooW[1-9A-HJ-NP-Za-km-z]{44}|16Uiu2HA[1-9A-HJ-NP-Za-km-z]{46}|Qm[1-9A-HJ-NP-Za-km-z]{44}|baf[a-z2-7]{50,120})$/.test(
    text
  )
}

/** Where a TCP listener of that address would sit, or undefined when it is no such thing. */
export function tcpTarget(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/([0-9]+)(?:\/|$)/.exec(text) ?? []
  return host === undefined ? undefined : { host, port: Number(port) }
}

function valueFault(takes: Takes, value: string): string | undefined {
  switch (takes) {
    case 'ip4':
      return isIP(value) === 4 ? undefined : 'IPv4 address'
    case 'ip6':
      return isIP(value) === 6 ? undefined : 'IPv6 address'
    case 'port':
      return /^(?:0|[1-9][0-9]{0,4})$/.test(value) && Number(value) <= 65_535 ? undefined : 'port from 0 to 65535'
    case 'name':
      return /^[a-zA-Z0-9_](?:[a-zA-Z0-9._-]{0,251}[a-zA-Z0-9])?$/.test(value) ? undefined : 'host name'
    case 'peer':
      return isPeerId(value) ? undefined : 'peer id'
    case 'text':
    case 'none':
      return value === '' ? 'value' : undefined
  }
}
