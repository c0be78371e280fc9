import dgram from 'node:dgram'
import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import { appendFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

/**
 * Writes a line for whatever this process reaches out for: `tcp HOST:PORT`, `udp HOST:PORT`, `dns NAME`. Where a machine
 * of its own can be had, a capture of its cables says it better; this is for where it cannot.
 */
export function watchOutgoing(file: string): void {
  const note = (line: string): void => appendFileSync(file, `${line}\n`)
  wrap(net.Socket.prototype, 'connect', args => {
    // `connect()` normalises its arguments into an array in an array before it calls the method.
    const [first, second] = (Array.isArray(args[0]) ? args[0] : args) as readonly unknown[]
    const { host, port, path } = optionsOf(first, second)
    if (path === undefined) note(`tcp ${typeof host === 'string' ? host : 'localhost'}:${String(port)}`)
  })
  wrap(dgram.Socket.prototype, 'send', args => {
    const at = args.findLastIndex(each => typeof each === 'number')
    note(`udp ${typeof args[at + 1] === 'string' ? String(args[at + 1]) : 'localhost'}:${String(args[at])}`)
  })
  for (const target of [dns, dnsPromises, dns.Resolver.prototype, dnsPromises.Resolver.prototype]) {
    for (const name of Object.getOwnPropertyNames(target)) {
      if (!/^(lookup|resolve|reverse)/.test(name)) continue
      wrap(target, name, ([asked]) => {
        // An address is no question for anybody.
        if (typeof asked === 'string' && net.isIP(asked) === 0) note(`dns ${asked}`)
      })
    }
  }
  syncBuiltinESMExports()
}

interface ConnectOptions {
  readonly host?: unknown
  readonly port?: unknown
  readonly path?: unknown
}

function optionsOf(first: unknown, second: unknown): ConnectOptions {
  if (typeof first === 'object' && first !== null) return first
  return typeof first === 'string' && Number.isNaN(Number(first)) ? { path: first } : { host: second, port: first }
}

function wrap(target: object, name: string, look: (args: readonly unknown[]) => void): void {
  const before: unknown = Reflect.get(target, name)
  if (typeof before !== 'function') return
  Reflect.set(target, name, function watched(this: unknown, ...args: readonly unknown[]): unknown {
    look(args)
    return Reflect.apply(before, this, args) as unknown
  })
}
