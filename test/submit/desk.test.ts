import { beforeEach, describe, expect, test } from 'vitest'
import type { SubmissionSource } from '../../node/services/submit/desk.ts'
import { Inbox } from '../../node/services/submit/inbox.ts'
import { signSubmission } from '../../attestation/sign-submission.ts'
import { formatPrincipal } from '../../protocol/did.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseScope } from '../../protocol/role.ts'
import { parseSubmission } from '../../protocol/submission.ts'
import type { SubmissionId } from '../../protocol/submission.ts'
import { Records } from '../../storage/records.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { failing } from '../support/failing.ts'
import { FactWriter, person } from '../support/facts.ts'
import { stranger } from '../support/submission.ts'

import { clock, from, openDesk, refused, root } from '../support/desk.ts'
beforeEach(() => {
  clock.now = 1_700_000_000_000
})

const near = (peer: string): SubmissionSource => ({ peer, range: '127.0.0.1', isPrivate: true })

describe('what is refused without being kept', () => {
  test('a name that exists', async () => {
    const { desk, registry } = await openDesk('open')
    const [first, second] = [stranger(), stranger()]
    expect(await desk.submit(first.asks(registry, 'novel'), from('a'))).toMatchObject({ type: 'granted' })
    expect(await desk.submit(second.asks(registry, 'novel'), from('b'))).toEqual(refused('name-taken'))
    expect(await desk.submit(first.asks(registry, 'novel'), from('a'))).toMatchObject({ type: 'granted' })
  })

  test.each(['left-pad', 'left_pad', 'left.pad', 'l-eft-pad'])(
    'a name that looks like one that exists: %s',
    async name => {
      const { desk, registry } = await openDesk('open')
      await desk.submit(stranger().asks(registry, 'leftpad'), from('a'))
      expect(await desk.submit(stranger().asks(registry, name), from('b'))).toEqual(refused('name-taken'))
    }
  )

  test('a name in one ecosystem does not keep others from it in another', async () => {
    const { desk, registry } = await openDesk('open')
    await desk.submit(stranger().asks(registry, 'novel'), from('a'))
    const other = stranger().asks(registry, 'x', { name: 'npm/novel' })
    expect(await desk.submit(other, from('b'))).toMatchObject({ type: 'granted' })
  })

  test.each([
    'ggen/ggen',
    'ggen/ggen-node',
    'npm/ggen.node',
    'ggen/registry',
    'ggen/con',
    'ggen/aux.x',
    'ggen/No',
    'ggen/a--b',
    'novel',
    '../x'
  ])('a reserved or impossible name: %s', async name => {
    const { desk, registry, announced } = await openDesk('open')
    expect(await desk.submit(stranger().asks(registry, 'x', { name }), from('a'))).toEqual(refused('bad-name'))
    expect(announced).toEqual([])
  })

  test('a registry that is not followed', async () => {
    const { desk } = await openDesk('open')
    const elsewhere = new FactWriter(person('somebody else')).registry
    expect(await desk.submit(stranger().asks(elsewhere, 'novel'), from('a'))).toEqual(refused('unknown-registry'))
  })

  test('a node whose key names nothing', async () => {
    const { desk, registry } = await openDesk('open', { by: person('nobody') })
    expect(desk.curatesAny([registry])).toBe(false)
    expect(await desk.submit(stranger().asks(registry, 'novel'), from('a'))).toEqual(refused('not-a-curator'))
  })

  test('statements about a name that nobody gave out keep nobody from it', async () => {
    const noise = (writer: FactWriter): void => {
      writer.grant(person('publisher').did, 'publisher')
      writer.claim('novel', { by: person('publisher') })
    }
    const { desk, registry } = await openDesk('open', { more: noise })
    expect(await desk.submit(stranger().asks(registry, 'novel'), from('a'))).toMatchObject({ type: 'granted' })
  })
})

test('an unclaimed look-alike hides no claimed one', async () => {
  const noise = (writer: FactWriter): void => {
    writer.grant(person('publisher').did, 'publisher')
    writer.claim('n-ovel', { by: person('publisher') })
  }
  const { desk, registry } = await openDesk('open', { more: noise })
  await desk.submit(stranger().asks(registry, 'novel'), from('a'))
  expect(await desk.submit(stranger().asks(registry, 'nov-el'), from('b'))).toEqual(refused('name-taken'))
})

describe('who may give out names', () => {
  const curator = person('curator')
  const granting =
    (scope: string, expires: number | null = null) =>
    (writer: FactWriter): unknown =>
      writer.write(root, 'registry', {
        type: 'grant',
        value: {
          authPrev: writer.genesis.id,
          head: null,
          key: curator.did,
          role: 'curator',
          scope: parseScope(scope),
          expires,
          threshold: null
        }
      })

  test('a curator, within the scope of the grant', async () => {
    const { desk, registry } = await openDesk('open', { by: curator, more: granting('ggen/acme-*') })
    expect(desk.curatesAny([registry])).toBe(true)
    expect(await desk.submit(stranger().asks(registry, 'acme-tool'), from('a'))).toMatchObject({ type: 'granted' })
    expect(await desk.submit(stranger().asks(registry, 'novel'), from('a'))).toEqual(refused('not-a-curator'))
  })

  test('not beyond the expiry of the grant', async () => {
    const { desk, registry } = await openDesk('open', { by: curator, more: granting('*', clock.now + 1_000) })
    expect(await desk.submit(stranger().asks(registry, 'one'), from('a'))).toMatchObject({ type: 'granted' })
    clock.now += 1_000
    expect(desk.curatesAny([registry])).toBe(false)
    expect(await desk.submit(stranger().asks(registry, 'two'), from('a'))).toEqual(refused('not-a-curator'))
  })
})

describe('what no honest program sends', () => {
  test('a submission with any bit of it changed', async () => {
    const { desk, registry, announced } = await openDesk('open')
    const bytes = stranger().asks(registry, 'novel')
    for (let at = 0; at < bytes.length; at += 3) {
      const forged = Uint8Array.from(bytes)
      forged[at] = (forged[at] ?? 0) ^ (1 << (at % 8))
      const told = await desk.submit(forged, 'self').catch((error: { code: string }) => error.code)
      // What is refused for what it says was not believed either.
      const isRefused = typeof told === 'object' && told.type === 'refused'
      expect([true, 'BAD_SIGNATURE', 'MALFORMED', 'INADMISSIBLE_KEY', 'LIMIT_EXCEEDED']).toContain(
        isRefused ? true : told
      )
    }
    expect(announced).toEqual([])
  })

  test('a forged signature', async () => {
    const { desk, registry } = await openDesk('open')
    const [victim, thief] = [stranger(), stranger()]
    const { body } = parseSubmission(victim.asks(registry, 'novel'))
    const forged = parseSubmission(signSubmission({ ...body, keys: [thief.key] }, thief.secret))
    const asVictim = Uint8Array.from(victim.asks(registry, 'novel'))
    asVictim.set(forged.signature, Buffer.from(asVictim).indexOf(Buffer.from(parseSubmission(asVictim).signature)))
    await expect(desk.submit(asVictim, from('thief'))).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
  })

  test('forged submissions use up nothing of what the key may ask for', async () => {
    const { desk, registry } = await openDesk('open')
    const victim = stranger()
    for (let i = 0; i < LIMITS.submit.perKeyPerHour + 1; i++) {
      const forged = Uint8Array.from(victim.asks(registry, `novel-${i}`))
      const { signature } = parseSubmission(forged)
      const at = Buffer.from(forged).indexOf(Buffer.from(signature))
      forged[at] = (forged[at] ?? 0) ^ 1
      const source = from(`thief-${i}`, `198.51.${i}`)
      await expect(desk.submit(forged, source)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    }
    expect(await desk.submit(victim.asks(registry, 'novel'), from('victim'))).toMatchObject({ type: 'granted' })
  })

  test('an author who is none of the keys', async () => {
    const { desk, registry } = await openDesk('open')
    const bytes = stranger().asks(registry, 'novel', { keys: [stranger().key] })
    await expect(desk.submit(bytes, from('a'))).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  test('a key that proves nothing', async () => {
    const { desk, registry, announced } = await openDesk('open')
    const one = stranger()
    const small = formatPrincipal(Uint8Array.from([1, ...new Uint8Array(31)]))
    const keys = [one.key, small].toSorted()
    await expect(desk.submit(one.asks(registry, 'novel', { keys }), from('a'))).rejects.toMatchObject({
      code: 'INADMISSIBLE_KEY'
    })
    expect(announced).toEqual([])
  })

  test('a submission of more than 4 KiB', async () => {
    const { desk } = await openDesk('open')
    await expect(desk.submit(new Uint8Array(LIMITS.submit.envelopeBytes + 1), from('a'))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED'
    })
  })
})

describe('a flood', () => {
  test('from one peer is stopped at its rate, and others get through', async () => {
    const { desk, registry } = await openDesk('curated')
    const told: string[] = []
    for (let i = 0; i < 100; i++) {
      const answer = await desk.submit(stranger().asks(registry, `spam-${i}`), near('flooder'))
      told.push(answer.type === 'refused' ? answer.reason : answer.type)
    }
    expect(told.filter(each => each === 'waiting')).toHaveLength(LIMITS.submit.perPeerPerHour)
    expect(told.at(-1)).toBe('over-rate')
    expect(await desk.submit(stranger().asks(registry, 'novel'), near('honest'))).toEqual({ type: 'waiting' })
  })

  test('from many peers of one range is stopped at the rate of the range', async () => {
    const { desk, registry } = await openDesk('curated')
    let kept = 0
    for (let i = 0; i < 100; i++) {
      const answer = await desk.submit(stranger().asks(registry, `spam-${i}`), from(`flooder-${i}`))
      if (answer.type === 'waiting') kept += 1
    }
    expect(kept).toBe(LIMITS.submit.perRangePerHour)
    expect(await desk.submit(stranger().asks(registry, 'novel'), from('honest', '192.0.2'))).toEqual({
      type: 'waiting'
    })
  })

  test('that fills the inbox gives way to whoever comes from elsewhere', async () => {
    const { desk, registry } = await openDesk('curated')
    for (let i = 0; i < LIMITS.submit.inbox + 20; i++) {
      await desk.submit(stranger().asks(registry, `spam-${i}`), near(`flooder-${i % 20}`))
    }
    const full = await desk.waiting(registry)
    expect(full).toHaveLength(LIMITS.submit.inbox)
    expect(await desk.submit(stranger().asks(registry, 'more'), near('flooder-0'))).toEqual(refused('full'))
    expect(await desk.submit(stranger().asks(registry, 'novel'), from('honest'))).toEqual({ type: 'waiting' })
    expect(await desk.submit(stranger().asks(registry, 'story'), near('honest neighbour'))).toEqual({ type: 'waiting' })
    const names = (await desk.waiting(registry)).map(({ envelope }) => envelope.body.name)
    expect(names).toHaveLength(LIMITS.submit.inbox)
    expect(names).toEqual(expect.arrayContaining(['ggen/novel', 'ggen/story']))
  })

  test('by one key leaves at most eight waiting', async () => {
    const { desk, registry } = await openDesk('curated')
    const one = stranger()
    for (let i = 0; i < LIMITS.submit.openPerKey; i++) {
      expect(await desk.submit(one.asks(registry, `spam-${i}`), near('a'))).toEqual({ type: 'waiting' })
    }
    expect(await desk.submit(one.asks(registry, 'one-more'), near('b'))).toEqual(refused('full'))
  })

  test('of questions about earlier ones is stopped too', async () => {
    const { desk, registry } = await openDesk('curated')
    const { id } = parseSubmission(stranger().asks(registry, 'novel'))
    for (let i = 0; i < LIMITS.submit.asksPerPeerPerHour; i++) {
      expect(await desk.ask(registry, id, near('a'))).toEqual(refused('unknown-submission'))
    }
    expect(await desk.ask(registry, id, near('a'))).toEqual(refused('over-rate'))
  })
})

describe('the inbox', () => {
  test('holds a submission once, and the newest of one author for one name', async () => {
    const { desk, registry } = await openDesk('curated')
    const one = stranger()
    const first = one.asks(registry, 'novel')
    for (let i = 0; i < 3; i++) await desk.submit(first, near('a'))
    expect(await desk.waiting(registry)).toHaveLength(1)
    await desk.submit(one.asks(registry, 'novel', { note: 'with words' }), near('a'))
    expect((await desk.waiting(registry)).map(({ envelope }) => envelope.body.note)).toEqual(['with words'])
  })

  test('remembers a bounded number of decisions', async () => {
    const { desk, registry, kv } = await openDesk('curated')
    const ids: SubmissionId[] = []
    for (let i = 0; i < LIMITS.submit.decided + 3; i++) {
      const bytes = stranger().asks(registry, `name${i}`)
      await desk.submit(bytes, 'self')
      const { id } = parseSubmission(bytes)
      await desk.deny(registry, id, 'no')
      ids.push(id)
    }
    const last = ids.at(-1)
    if (last === undefined) throw new Error('some were decided')
    expect(await desk.ask(registry, ids[2] ?? last, near('a'))).toEqual(refused('unknown-submission'))
    expect(await desk.ask(registry, last, near('a'))).toEqual({ type: 'denied', reason: 'no' })
    let records = 0
    for await (const _ of kv.iterate({ gte: 'submission!', lt: 'submission!~' })) records += 1
    expect(records).toBe(LIMITS.submit.decided)
  })

  test('is read again after a restart, but for a record that the disk spoilt', async () => {
    const { desk, registry, kv } = await openDesk('curated')
    for (const name of ['one', 'two']) await desk.submit(stranger().asks(registry, name), near('a'))
    const [first] = await desk.waiting(registry)
    await kv.batch([{ type: 'put', key: `submission!${registry}!${first?.envelope.id}`, value: new Uint8Array(3) }])
    const again = new Inbox(new Records(kv))
    expect((await again.waiting(registry)).map(({ envelope }) => envelope.body.name)).toEqual(['ggen/two'])
  })

  test.each([false, true])(
    'a write that fails (persisted: %s) tells nobody that it waits, and the next try is kept once',
    async persisted => {
      const kv = memoryKeyValue()
      const { registry } = await openDesk('curated', { kv })
      const flaky = failing(kv, key => key.startsWith('submission!'), { persisted })
      const { desk } = await openDesk('curated', { kv: flaky })
      const bytes = stranger().asks(registry, 'novel')
      await expect(desk.submit(bytes, near('a'))).rejects.toThrow()
      expect(await desk.submit(bytes, near('a'))).toEqual({ type: 'waiting' })
      expect(await desk.waiting(registry)).toHaveLength(1)
      expect(await new Inbox(new Records(kv)).waiting(registry)).toHaveLength(1)
    }
  )

  test('grants only what waits, and what is still free', async () => {
    const { desk, registry, view } = await openDesk('curated')
    const bytes = stranger().asks(registry, 'novel')
    const { id } = parseSubmission(bytes)
    await expect(desk.grant(registry, id)).rejects.toMatchObject({ code: 'UNKNOWN_SUBMISSION' })
    await desk.submit(bytes, near('a'))
    const rival = stranger().asks(registry, 'n-ovel')
    await desk.submit(rival, near('b'))
    const { fact } = await desk.grant(registry, id)
    expect((await view.find(registry, parsePackageName('ggen/novel')))?.claim?.fact).toBe(fact)
    await expect(desk.grant(registry, id)).rejects.toMatchObject({ code: 'UNKNOWN_SUBMISSION' })
    expect(await desk.ask(registry, parseSubmission(rival).id, near('b'))).toMatchObject({ type: 'denied' })
  })
})
