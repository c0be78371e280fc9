import { BlockList, isIP } from 'node:net'
import { LIMITS } from '../../protocol/limits.ts'
import { RateLimit } from '../runtime/rate.ts'
import { isLoopback } from './http-address.ts'

const PRIVATE = new BlockList()
for (const [net, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10]
] as const) {
  PRIVATE.addSubnet(net, prefix)
}
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

/** Why somebody has to wait, and for how many seconds. */
export interface Wait {
  readonly status: 429 | 503
  readonly seconds: number
}

/**
 * How much one listener does at a time, and for whom. A /64 of IPv6 is one address: whoever has one address there has all
 * of them.
 */
export class Turnstile {
  readonly #strangers: RateLimit
  readonly #near: RateLimit
  readonly #wrongTokens: RateLimit
  readonly #answers = new Map<string, number>()
  readonly #connections = new Map<string, number>()
  #all = 0

  constructor(clock: { now(): number }) {
    const now = (): number => clock.now()
    const { perSecond, burst, perSecondPrivate, burstPrivate, tracked: keys, wrongTokensPerMinute } = LIMITS.gateway
    this.#strangers = new RateLimit({ perSecond, burst, keys, now })
    this.#near = new RateLimit({ perSecond: perSecondPrivate, burst: burstPrivate, keys, now })
    const wrong = { perSecond: wrongTokensPerMinute / 60, burst: wrongTokensPerMinute }
    this.#wrongTokens = new RateLimit({ ...wrong, keys, now })
  }

  get active(): number {
    return this.#all
  }

  /** A socket was accepted. Returns what to call when it is closed, or undefined when there are too many. */
  connect(ip: string): (() => void) | undefined {
    return this.#take(this.#connections, ip, LIMITS.gateway.connections / (isNear(ip) ? 1 : 8))
  }

  /** A request came. Returns what to call when its answer is over. */
  enter(ip: string): (() => void) | Wait {
    const { answers, answersPerAddress, answersPerPrivateAddress } = LIMITS.gateway
    const key = keyOf(ip)
    const rate = isNear(ip) ? this.#near : this.#strangers
    if (!rate.take(key)) return { status: 429, seconds: Math.max(1, Math.ceil(rate.waitMs(key) / 1_000)) }
    if (this.#all >= answers) return { status: 503, seconds: 5 }
    const leave = this.#take(this.#answers, ip, isNear(ip) ? answersPerPrivateAddress : answersPerAddress)
    if (leave === undefined) return { status: 429, seconds: 1 }
    this.#all += 1
    return once(() => {
      this.#all -= 1
      leave()
    })
  }

  /** False when an address has shown too many wrong tokens to show another one. */
  mayShowToken(ip: string): boolean {
    return this.#wrongTokens.waitMs(keyOf(ip)) === 0
  }

  wrongToken(ip: string): void {
    this.#wrongTokens.take(keyOf(ip))
  }

  #take(counts: Map<string, number>, ip: string, most: number): (() => void) | undefined {
    const key = keyOf(ip)
    const count = counts.get(key) ?? 0
    if (count >= most) return undefined
    counts.set(key, count + 1)
    return once(() => {
      const left = (counts.get(key) ?? 1) - 1
      if (left > 0) counts.set(key, left)
      else counts.delete(key)
    })
  }
}

function isNear(ip: string): boolean {
  const plain = unmapped(ip)
  return isLoopback(plain) || (isIP(plain) !== 0 && PRIVATE.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4'))
}

function keyOf(ip: string): string {
  const plain = unmapped(ip)
  if (isIP(plain) !== 6) return plain
  const [head = '', tail = ''] = plain.split('%')[0]?.split('::') ?? []
  const groups = (text: string): readonly string[] => text.split(':').filter(group => group !== '')
  const zeros = plain.includes('::') ? Array.from({ length: 8 }, () => '0') : []
  // The first half; what stands behind `::` only counts where that leaves room for it.
  const left = groups(head)
  const missing = Math.max(0, 8 - left.length - groups(tail).length)
  return [...left, ...zeros.slice(0, missing), ...groups(tail)].slice(0, 4).join(':')
}

function unmapped(ip: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip
}

function once(task: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    task()
  }
}
