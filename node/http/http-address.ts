import { isIP } from 'node:net'

/** Where a listener binds. */
export interface HttpAddress {
  readonly host: string
  readonly port: number
  /** Nobody but programs of this machine reaches it. */
  readonly isLocal: boolean
}

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `0.0.0.0:0`: an address of this machine and a port, 0 for any. */
export function parseHttpAddress(text: string): HttpAddress | undefined {
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const given = bracketed ?? plain ?? ''
  const host = given === 'localhost' ? '127.0.0.1' : given
  const port = Number(digits)
  if (digits === '' || port > 65_535 || isIP(host) !== (bracketed === undefined ? 4 : 6)) return undefined
  return { host, port, isLocal: isLoopback(host) }
}

export function formatHttpAddress(host: string, port: number): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

/** Why a text cannot be listened on. */
export function httpAddressFault(text: string): string | undefined {
  if (text === '' || parseHttpAddress(text) !== undefined) return undefined
  return 'it is no address of this machine with a port, such as 127.0.0.1:8080'
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip === '::ffff:127.0.0.1' || (isIP(ip) === 4 && ip.startsWith('127.'))
}

/**
 * Whether a Host header names this machine. Attack, DNS rebinding: a page of evil.example, whose name suddenly leads to
 * 127.0.0.1, asks a local listener what is on this machine; the browser still writes the page's name into the header.
 */
export function isLocalHostHeader(header: string | undefined): boolean {
  const name = /^(\[[^\]]+\]|[^:]+)(?::\d{1,5})?$/.exec(header ?? '')?.[1]?.toLowerCase() ?? ''
  return name === 'localhost' || isLoopback(name.replace(/^\[|\]$/g, ''))
}
