import { BlockList, isIP } from 'node:net'

/** The part of a multiaddr that limits and rules look at. */
export interface HasComponents {
  getComponents(): readonly { readonly name: string; readonly value?: string | undefined }[]
}

const PRIVATE = new BlockList()
PRIVATE.addSubnet('127.0.0.0', 8)
PRIVATE.addSubnet('10.0.0.0', 8)
PRIVATE.addSubnet('172.16.0.0', 12)
PRIVATE.addSubnet('192.168.0.0', 16)
PRIVATE.addSubnet('169.254.0.0', 16)
PRIVATE.addSubnet('100.64.0.0', 10)
PRIVATE.addAddress('::1', 'ipv6')
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

/** The IP address of whom a multiaddr leads to, or undefined when it names a host, or leads through a relay to nobody knows where. */
export function ipOf(address: HasComponents): string | undefined {
  return relayOf(address) === undefined ? firstIpOf(address) : undefined
}

/** The IP address that the first packet goes to: the relay's, when there is one. */
export function firstIpOf(address: HasComponents): string | undefined {
  return address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value
}

/** The peer id of the relay that a multiaddr leads through; an empty text when it names none. */
export function relayOf(address: HasComponents): string | undefined {
  const parts = address.getComponents()
  const at = parts.findLastIndex(({ name }) => name === 'p2p-circuit')
  if (at < 0) return undefined
  return parts.slice(0, at).findLast(({ name }) => name === 'p2p')?.value ?? ''
}

/** Is an address one that only this machine or this site can reach? The unspecified address counts: it names no place. */
export function isPrivateIp(ip: string): boolean {
  if (ip === '0.0.0.0' || ip === '::') return true
  const family = isIP(ip)
  if (family === 0) return false
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1]
  return mapped === undefined ? PRIVATE.check(ip, family === 6 ? 'ipv6' : 'ipv4') : PRIVATE.check(mapped, 'ipv4')
}

/** Is an address one that only this machine can reach? */
export function isLoopbackIp(ip: string): boolean {
  return ip === '::1' || (isIP(ip) === 4 && ip.startsWith('127.'))
}

/** The block of addresses that one customer usually holds: /24, or /48 for IPv6. */
export function subnetOf(ip: string): string {
  if (isIP(ip) !== 6) return ip.split('.').slice(0, 3).join('.')
  const [head = '', tail = ''] = ip.split('%')[0]?.split('::') ?? []
  const left = head.split(':').filter(group => group !== '')
  const right = tail.split(':').filter(group => group !== '')
  const zeros = ip.includes('::') ? Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0') : []
  const groups = [...left, ...zeros, ...right].slice(0, 3)
  return groups.map(group => Number.parseInt(group, 16).toString(16)).join(':')
}

/** Does a multiaddr name a host that must be asked of the DNS? */
export function needsDns(address: HasComponents): boolean {
  return address.getComponents().some(({ name }) => name.startsWith('dns'))
}
