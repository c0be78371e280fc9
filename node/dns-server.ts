import { isIP } from 'node:net'

/** Why a text is no DNS server; undefined when it is one: an address, or one with a port, `127.0.0.1:5353` or `[::1]:5353`. */
export function dnsServerFault(text: string): string | undefined {
  const [, v6, v4, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([1-9][0-9]{0,4}))?$/.exec(text) ?? []
  const address = v6 ?? v4 ?? text
  if (isIP(address) === 0) return 'write it as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353'
  return port !== undefined && Number(port) > 65_535 ? 'there is no such port' : undefined
}
