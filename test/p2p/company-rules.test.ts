import { describe, expect, test } from 'vitest'
import { Company } from '../../node/p2p/company.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const { signal } = new AbortController()
const { company, dialTimeoutMs } = LIMITS.connections

describe('whoever is alone', () => {
  /** A socket on which somebody has spoken, or not, and what closes it. */
  function socket({ hasSpoken = true, remoteAddr = 'somewhere' } = {}) {
    const closed: (() => void)[] = []
    const addEventListener = (_: 'close', listener: () => void): void => void closed.push(listener)
    return {
      reached: { hasSpoken, remoteAddr, addEventListener },
      close: () => closed.splice(0).forEach(listener => listener())
    }
  }

  function lonely(onDial: (company: Company, time: VirtualTime) => Promise<void>) {
    const time = new VirtualTime()
    const dialled: number[] = []
    let [isHere, failed, skipped] = [false, 0, 0]
    const seeker: Company = new Company({
      clock: { now: () => time.now() + skipped, after: time.after },
      isAlone: () => !isHere,
      hasSpoken: each => 'hasSpoken' in each && each.hasSpoken === true,
      dialling: [
        {
          get failed() {
            return failed
          },
          dialNow: async () => {
            dialled.push(time.now())
            await onDial(seeker, time)
            failed += 1
          }
        }
      ]
    })
    const passed = async (ms: number): Promise<void> => {
      let isOver = false
      time.after(ms, () => (isOver = true))
      await time.runUntil(() => isOver, Number.POSITIVE_INFINITY)
    }
    const sought = async (): Promise<number> => {
      let isOver = false
      const started = time.now()
      void seeker.sought(signal).then(() => (isOver = true))
      await time.runUntil(() => isOver, Number.POSITIVE_INFINITY)
      return time.now() - started
    }
    const arrive = (): void => {
      isHere = true
      seeker.onPeer()
    }
    const leave = (): void => void (isHere = false)
    /** Time on the wall in which nothing at all has its turn. */
    const skip = (ms: number): void => void (skipped += ms)
    return { time, seeker, dialled, sought, passed, arrive, leave, skip }
  }

  /** All that an install of 40 packages waits for, one after the other. */
  async function install({ sought, passed }: Pick<ReturnType<typeof lonely>, 'sought' | 'passed'>): Promise<number> {
    let ms = 0
    for (let fetches = 0; fetches < 40; fetches++) {
      ms += await sought()
      await passed(200)
    }
    return ms
  }

  const { looks, lookMs, silentLooks, patienceMs, vainMs, vainFactor, refillMs } = company
  const SECOND = 1_000
  /** How long the first word of one address is waited for, and how long it is looked for open sockets. */
  const MUTE = silentLooks * lookMs + SECOND

  /** What is done with a connection, from the first byte to the last. */
  const takesFor =
    (ms: number, hasSpoken = true) =>
    async (seeker: Company, time: VirtualTime) => {
      const { reached, close } = socket({ hasSpoken })
      const over = Promise.withResolvers<void>()
      seeker.onReached(reached)
      time.after(ms, () => {
        close()
        over.resolve()
      })
      await over.promise
    }
  const closesAtOnce = async (seeker: Company): Promise<void> => {
    const { reached, close } = socket()
    seeker.onReached(reached)
    close()
  }

  test('waits a moment for the first socket, and does not dial the dead for each fetch', async () => {
    const { sought, dialled } = lonely(() => new Promise(() => {}))
    expect(await sought()).toBe(SECOND)
    expect(await sought()).toBe(0)
    expect(dialled).toEqual([0])
  })

  test('dials whoever closes at once a few times, with pauses, and not again for each fetch', async () => {
    const { sought, dialled } = lonely(closesAtOnce)
    expect(await sought()).toBeLessThanOrEqual(SECOND)
    expect(dialled).toEqual(Array.from({ length: looks }, (_, n) => n * lookMs))
    expect(await sought()).toBe(0)
    expect(dialled.length).toBe(looks)
  })

  test('waits for whoever is slow to introduce himself, up to a bound', async () => {
    const { sought } = lonely(takesFor(Number.MAX_SAFE_INTEGER))
    const waited = await sought()
    expect(waited).toBeGreaterThanOrEqual(dialTimeoutMs)
    expect(waited).toBeLessThanOrEqual(patienceMs)
  })

  test.each<readonly [string, (company: Company, time: VirtualTime) => Promise<void>, number]>([
    ['a black hole', () => new Promise(() => {}), SECOND],
    ['a machine where nothing listens', async () => {}, 0],
    ['one that closes at once', closesAtOnce, SECOND],
    [
      'one that closes at once, beside a black hole',
      company => closesAtOnce(company).then(() => new Promise(() => {})),
      SECOND
    ],
    ['one that says no word for 5 s each time', takesFor(5 * SECOND, false), MUTE],
    ['one that says no word for 4 s each time', takesFor(4 * SECOND, false), MUTE],
    ['one that never says a word', takesFor(Number.MAX_SAFE_INTEGER, false), silentLooks * lookMs],
    ['one that speaks, and closes after 5 s each time', takesFor(5 * SECOND), patienceMs + SECOND],
    ['one that speaks, and closes after 9.9 s each time', takesFor(9_900), patienceMs + SECOND],
    ['one that speaks, and never to the end', takesFor(Number.MAX_SAFE_INTEGER), patienceMs + SECOND]
  ])('pays for %s once, not for each package of an install', async (_, onDial, mostMs) => {
    expect(await install(lonely(onDial))).toBeLessThanOrEqual(mostMs)
  })

  /** A peer that is far away: what happens how long after it was dialled. */
  const farAway = (
    { opensAt, speaksAt, hereAt }: { readonly opensAt: number; readonly speaksAt: number; readonly hereAt: number },
    arrive: () => void
  ) => {
    return (seeker: Company, time: VirtualTime): Promise<void> => {
      const { reached } = socket({ hasSpoken: false, remoteAddr: 'far' })
      time.after(opensAt, () => seeker.onReached(reached))
      time.after(speaksAt, () => (reached.hasSpoken = true))
      time.after(hereAt, arrive)
      return new Promise(() => {})
    }
  }

  test('waits for whoever is far away: connected after 0.6 s, a first word after 1.2 s, here after 3 s', async () => {
    const far = { opensAt: 600, speaksAt: 1_200, hereAt: 3 * SECOND }
    const { sought, arrive } = lonely((...all) => farAway(far, arrive)(...all))
    expect(await sought()).toBe(far.hereAt)
  })

  test('waits for the first word for five seconds, once for each address, and then for nobody', async () => {
    const { sought, seeker, passed } = lonely(async () => {})
    seeker.onReached(socket({ hasSpoken: false, remoteAddr: 'mute' }).reached)
    expect(await sought()).toBe(silentLooks * lookMs)
    expect(await sought()).toBe(0)
    await passed(vainMs)
    expect(await sought()).toBe(0)
    seeker.onReached(socket({ hasSpoken: false, remoteAddr: 'another' }).reached)
    expect(await sought()).toBe(silentLooks * lookMs)
  })

  test('waits for no first word as soon as somebody else is here, nor where somebody is', async () => {
    const { sought, seeker, time, arrive } = lonely(takesFor(Number.MAX_SAFE_INTEGER, false))
    time.after(SECOND / 2, arrive)
    expect(await sought()).toBe(SECOND / 2)
    seeker.onReached(socket({ hasSpoken: false, remoteAddr: 'another' }).reached)
    expect(await sought()).toBe(0)
  })

  test('does not take the time in which its own process had no turn for silence', async () => {
    const far = { opensAt: 100, speaksAt: 2 * SECOND, hereAt: 6 * SECOND }
    const { sought, arrive, time, skip } = lonely((...all) => farAway(far, arrive)(...all))
    for (const at of [150, 700, 3 * SECOND]) time.after(at, () => skip(60 * SECOND))
    expect(await sought()).toBe(far.hereAt)
  })

  test('waits no longer for connections that are taken again and again than for one', async () => {
    const host = lonely(closesAtOnce)
    const { time, seeker } = host
    // What is dialled every few seconds anyway.
    const redialled = (): void => {
      void takesFor(4 * SECOND)(seeker, time)
      time.after(5 * SECOND, redialled)
    }
    redialled()
    let waited = 0
    while (time.now() < refillMs) {
      waited += await host.sought()
      await host.passed(500)
    }
    expect(waited).toBeLessThanOrEqual(2 * patienceMs + SECOND)
  })

  test('waits for a dial that is under way, also just after a search in vain', async () => {
    const { sought, seeker, time, arrive } = lonely(async () => {})
    expect(await sought()).toBe(0)
    seeker.onReached(socket().reached)
    time.after(6 * SECOND, arrive)
    expect(await sought()).toBe(6 * SECOND)
  })

  test('dials again after a search in vain, later each time, and at once when somebody was here meanwhile', async () => {
    const { sought, passed, dialled, arrive, leave, time } = lonely(() => new Promise(() => {}))
    await sought()
    for (const factor of [1, 2, 4]) {
      const count = dialled.length
      await passed(vainFactor * SECOND * factor - 1)
      expect(await sought()).toBe(0)
      await passed(1)
      expect(await sought()).toBe(SECOND)
      expect(dialled.length).toBe(count + 1)
    }
    arrive()
    expect(await sought()).toBe(0)
    leave()
    const now = time.now()
    expect(await sought()).toBe(SECOND)
    expect(dialled.at(-1)).toBe(now)
  })

  test('dials soon again where nothing listened: the other node may have just been started', async () => {
    const { sought, passed, dialled } = lonely(async () => {})
    await sought()
    await passed(vainMs)
    await sought()
    expect(dialled).toEqual([0, vainMs])
  })
})
