import { PING_PROTOCOL } from '@libp2p/ping'
import { afterEach, describe, expect, test } from 'vitest'
import { endWhenSilent } from '../../node/p2p/alive.ts'
import type { Heard } from '../../node/p2p/alive.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'

const { aliveLookMs, aliveLooks, aliveEveryMs } = LIMITS.connections

afterEach(stopNodes)

/** Looks that come due when a test says so. */
class Looks {
  readonly due = new Set<() => void>()
  readonly after = (_: number, task: () => void): (() => void) => {
    const own = (): void => {
      this.due.delete(own)
      task()
    }
    this.due.add(own)
    return () => void this.due.delete(own)
  }

  watch(line: Heard): void {
    endWhenSilent(line, aliveLookMs, this.after)
  }

  async look(meanwhile: () => void = () => undefined): Promise<void> {
    for (const task of this.due) task()
    meanwhile()
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** A connection on which bytes come when a test says so. */
class Line implements Heard {
  ended: Error | undefined
  readonly #onMessage: (() => void)[] = []
  readonly #onClose: (() => void)[] = []

  addEventListener(type: 'message' | 'close', listener: () => void): void {
    ;(type === 'message' ? this.#onMessage : this.#onClose).push(listener)
  }

  readonly bytes = (): void => this.#onMessage.forEach(listener => listener())

  abort(error: Error): void {
    this.ended = error
    this.close()
  }

  readonly close = (): void => this.#onClose.forEach(listener => listener())
}

describe('a connection', () => {
  test('ends when nothing has come for so many looks, and not sooner', async () => {
    const [looks, line] = [new Looks(), new Line()]
    looks.watch(line)
    for (let n = 1; n < aliveLooks; n++) await looks.look()
    expect(line.ended).toBeUndefined()
    await looks.look()
    expect(line.ended).toMatchObject({ code: 'TIMEOUT' })
    expect(looks.due.size).toBe(0)
  })

  test('stays while anything comes, however late, and whatever it is', async () => {
    const [looks, line] = [new Looks(), new Line()]
    looks.watch(line)
    for (let round = 0; round < 3; round++) {
      for (let n = 1; n < aliveLooks; n++) await looks.look()
      line.bytes()
    }
    expect(line.ended).toBeUndefined()
  })

  test('is not judged before that was read which was waiting when the look came', async () => {
    const [looks, line] = [new Looks(), new Line()]
    looks.watch(line)
    for (let n = 1; n < aliveLooks; n++) await looks.look()
    await looks.look(line.bytes)
    expect(line.ended).toBeUndefined()
  })

  test('leaves no timer when it ends', () => {
    const [looks, line] = [new Looks(), new Line()]
    looks.watch(line)
    line.close()
    expect(looks.due.size).toBe(0)
  })

  test('is asked often enough: a live one has several chances to show it', () => {
    expect(aliveLookMs * (aliveLooks - 1)).toBeGreaterThanOrEqual(3 * aliveEveryMs)
  })
})

describe('a peer', () => {
  test.each(['dials', 'is dialled'])(
    'that %s and is dead is gone after those looks; one that is alive is not',
    async way => {
      const [me, busy, dead] = [
        await testNode({ config: { tuning: { aliveLookMs: 50 } } }),
        await testNode(),
        await testNode()
      ]
      for (const other of [busy, dead]) {
        if (way === 'dials') await other.swarm.connect(me.address())
        else await me.swarm.connect(other.address())
        await other.events.next('onPeer')
      }
      const [cut] = dead.swarm.libp2p.getConnections()
      const [alive] = busy.swarm.libp2p.getConnections()
      // Its cable is cut: nothing is said any more, and what the kernel takes from us it takes still.
      const raw = Reflect.get(cut as object, 'maConn') as { send: () => boolean; pause: () => void }
      raw.send = () => true
      raw.pause()
      const here = (): readonly string[] => me.swarm.peers().flatMap(({ connected, id }) => (connected ? [id] : []))
      // Bytes come from the one as long as the other is here, and some looks longer.
      for (let n = 0; here().includes(dead.swarm.peerId) || n < 2 * aliveLooks; n++) {
        const stream = await alive?.newStream(PING_PROTOCOL)
        await stream?.close()
      }
      expect(here()).toEqual([busy.swarm.peerId])
      expect(me.events.of('onCut')).toEqual([])
    }
  )

  test('that answers no question of the library is left alone', async () => {
    const { libp2p } = (await testNode()).swarm
    const components: unknown = Reflect.get(libp2p, 'components')
    expect(() => Reflect.get(components as object, 'connectionMonitor') as unknown).toThrow(/connectionMonitor/)
  })
})
