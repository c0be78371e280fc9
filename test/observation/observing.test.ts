import { beforeEach, describe, expect, test } from 'vitest'
import { signFact } from '../../attestation/sign-fact.ts'
import { composeObserving } from '../../node/observing.ts'
import type { Observing } from '../../node/observing.ts'
import { silentLog } from '../../node/runtime/log.ts'
import { Author } from '../../node/services/author.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { Federation, publish } from '../support/federation.ts'
import type { FactWriter, Made } from '../support/facts.ts'
import { person, subject } from '../support/facts.ts'

const HOUR = 60 * 60 * 1000
const me = person('me')

let here: Federation
let acme: FactWriter
let claim: Made
let observing: Observing
let isKept: boolean
let told: number
/** What is to run later; nothing runs until a test says so. */
let later: (() => unknown)[]

const round = async (): Promise<void> => {
  for (const task of later.splice(0)) await task()
}

const seen = async () => (await here.view.find(acme.registry, subject('lib')))?.observations ?? []

beforeEach(async () => {
  here = new Federation()
  acme = await here.follow('acme', { kind: 'public', read: false })
  claim = publish(acme, 'lib', { '1.0.0': [] })
  await here.read(acme)
  here.now += 2 * HOUR
  ;[later, told, isKept] = [[], 0, true]
  const signer = {
    principal: me.did,
    sign: (body: Parameters<typeof signFact>[0]) => signFact(body, me.secret),
    chain: () => me.chain,
    renewChain: async () => me.chain
  }
  const now = (): number => here.now
  const { gate, facts, sources, registries, view } = here
  const clock = { now, after: (_: number, task: () => unknown) => void later.push(task) }
  const author = new Author({ gate, signer, now })
  const keeper = { keepsAny: () => isKept }
  const announce = (): void => void (told += 1)
  const log = silentLog()
  const parts = { gate, facts, sources, registries, view, clock, author, signer, keeper, announce, now, log }
  observing = composeObserving(parts).observing
})

/** Gives our key a role and tells of some more versions. */
async function come(versions: readonly string[], role: 'auditor' | 'mirror' = 'mirror'): Promise<void> {
  acme.grant(me.did, role)
  for (const version of versions) acme.release('lib', version, acme.cite(claim))
  await here.read(acme)
}

describe('a node that mirrors', () => {
  test('tells of what it saw come, all of a package in one fact, and of nothing that was there before', async () => {
    await come(['1.1.0', '1.2.0', '1.3.0'])
    const arrived = here.now
    here.now += HOUR
    observing.start([acme.registry])
    await round()
    expect(told).toBe(1)
    const observations = await seen()
    expect(observations.flatMap(one => one.seen)).toEqual(
      Array.from({ length: 3 }, () => ({ by: me.did, time: arrived }))
    )
    observing.noted(acme.registry, subject('lib'))
    await round()
    expect(told).toBe(1)
  })

  test('gathers what comes within a minute', async () => {
    await come([])
    observing.start([acme.registry])
    await round()
    for (const version of ['2.0.0', '2.1.0']) {
      acme.release('lib', version, acme.cite(claim))
      await here.read(acme)
      observing.noted(acme.registry, subject('lib'))
    }
    expect([later.length, told]).toEqual([1, 0])
    await round()
    expect([(await seen()).length, told]).toEqual([2, 1])
  })

  test('says nothing without a role to say it, or where it keeps nothing', async () => {
    await come(['1.1.0'], 'auditor')
    observing.start([acme.registry])
    expect(later).toEqual([])
    acme.grant(me.did, 'mirror', { authPrev: acme.all.findLast(({ body }) => body.type === 'grant')?.id ?? claim.id })
    await here.read(acme)
    isKept = false
    observing.noted(acme.registry, 'registry')
    expect(later).toEqual([])
    isKept = true
    observing.noted(acme.registry, 'registry')
    await round()
    expect(told).toBe(1)
  })

  test('does not speak of what came a month ago', async () => {
    await come(['1.1.0'])
    here.now += LIMITS.observation.backMs + HOUR
    observing.start([acme.registry])
    await round()
    expect([told, await seen()]).toEqual([0, []])
  })

  test('says nothing any more once it stopped', async () => {
    await come(['1.1.0'])
    observing.start([acme.registry])
    await observing.stop()
    await round()
    expect(told).toBe(0)
  })
})
