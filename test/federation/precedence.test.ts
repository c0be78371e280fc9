import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { registriesAwaited } from '../../node/caught-up.ts'
import { Precedence } from '../../node/services/precedence.ts'
import type { Standing } from '../../node/services/precedence.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { packageNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { FollowedRegistry } from '../../storage/records.ts'
import { person, subject } from '../support/facts.ts'
import type { FactWriter } from '../support/facts.ts'
import { Federation, publish } from '../support/federation.ts'
import { refusal } from '../support/project.ts'

const ALIASES = ['acme', 'beta', 'main', 'other', 'third'] as const
type Alias = (typeof ALIASES)[number]
const PRIVATE = new Set<Alias>(['acme', 'beta'])

/** Every way to claim a name in some of five registries has a name of its own: `n13` is claimed where 13 has a bit. */
const nameHeldBy = (aliases: readonly Alias[]): PackageName =>
  packageNameOf('ggen', `n${aliases.reduce((sum, alias) => sum + 2 ** ALIASES.indexOf(alias), 0)}`)

const federation = new Federation()
const ids = new Map<Alias, RegistryId>()

beforeAll(async () => {
  for (const [bit, alias] of ALIASES.entries()) {
    const kind = PRIVATE.has(alias) ? 'private' : 'public'
    const writer = await federation.follow(alias, { kind, isDefault: alias === 'main' })
    ids.set(alias, writer.registry)
    for (let n = 0; n < 2 ** ALIASES.length; n++)
      if (Math.floor(n / 2 ** bit) % 2 === 1) publish(writer, `n${n}`, { '1.0.0': [] })
    await federation.read(writer)
  }
})

/** `found acme`, `ambiguous acme beta`, `absent`. */
function told(standing: Standing): string {
  switch (standing.type) {
    case 'found':
    case 'traces':
    case 'unread':
      return `${standing.type} ${standing.registry.alias}`
    case 'ambiguous':
      return `ambiguous ${standing.registries.map(({ alias }) => alias).join(' ')}`
    case 'absent':
      return 'absent'
  }
}

describe('a name without an alias means', () => {
  test.each<[string, readonly Alias[], string]>([
    ['the private registry that holds it', ['acme'], 'found acme'],
    ['the private one before the default one', ['acme', 'main'], 'found acme'],
    ['the private one before every other', ['beta', 'main', 'other', 'third'], 'found beta'],
    ['nothing where two private ones hold it', ['acme', 'beta', 'main'], 'ambiguous acme beta'],
    ['the default one before other public ones', ['other', 'main'], 'found main'],
    ['the public one that was followed first', ['third', 'other'], 'found other'],
    ['the last one where nobody else has it', ['third'], 'found third'],
    ['nothing where nobody has it', [], 'absent']
  ])('%s', async (_, holders, expected) => {
    expect(told(await federation.precedence.standing(nameHeldBy(holders)))).toBe(expected)
  })

  test.each<[string, readonly Alias[], Alias, string]>([
    ['the registry of the package that needs it', ['main', 'other', 'third'], 'third', 'found third'],
    ['a private one before that', ['acme', 'third'], 'third', 'found acme'],
    ['a private one although its own private one is another', ['beta', 'main'], 'acme', 'found beta'],
    ['nothing where its own private one and another hold it', ['acme', 'beta'], 'acme', 'ambiguous acme beta'],
    ['its own public registry alone, also where that has none', ['main', 'other'], 'third', 'found third'],
    ['the default one for a package of a private registry', ['main', 'other'], 'acme', 'found main']
  ])('as a dependency: %s', async (_, holders, from, expected) => {
    expect(told(await federation.precedence.standing(nameHeldBy(holders), { from: ids.get(from) }))).toBe(expected)
  })
})

/** The same rule said another way, over sets and lists. */
function oracle(order: readonly Alias[], { holders, unread, stale, usual, from, main }: Situation): string {
  const closed = order.filter(alias => PRIVATE.has(alias))
  const dark = closed.find(alias => unread.includes(alias))
  if (order.length === 1) return `found ${order[0] ?? ''}`
  if (dark !== undefined) return `unread ${dark}`
  const claiming = closed.filter(alias => holders.includes(alias))
  if (claiming.length > 1) return `ambiguous ${claiming.join(' ')}`
  if (claiming.length === 1) return `found ${claiming[0] ?? ''}`
  const old = closed.find(alias => stale.includes(alias))
  if (old !== undefined && closed.length < order.length) return `unread ${old}`
  if (from !== undefined && order.includes(from) && !PRIVATE.has(from)) return `found ${from}`
  const ranks = (alias: Alias): number => {
    const front: readonly (Alias | undefined)[] = [main, usual]
    const at = front.indexOf(alias)
    return at < 0 ? front.length + order.indexOf(alias) : at
  }
  const open = order.filter(alias => !PRIVATE.has(alias)).toSorted((a, b) => ranks(a) - ranks(b))
  const stop = open.find(alias => holders.includes(alias) || unread.includes(alias))
  if (stop === undefined) return 'absent'
  return `${holders.includes(stop) ? 'found' : 'unread'} ${stop}`
}

interface Situation {
  readonly holders: readonly Alias[]
  readonly unread: readonly Alias[]
  readonly stale: readonly Alias[]
  readonly usual: Alias
  readonly from: Alias | undefined
  readonly main: Alias | undefined
}

test('the rule holds for every order of following, every holder and whatever was not read', async () => {
  const situation = fc.record({
    order: fc.shuffledSubarray([...ALIASES], { minLength: 1 }),
    holders: fc.subarray([...ALIASES]),
    unread: fc.subarray([...ALIASES]),
    stale: fc.subarray([...ALIASES]),
    usual: fc.nat(),
    from: fc.option(fc.constantFrom(...ALIASES), { nil: undefined }),
    main: fc.option(fc.constantFrom(...ALIASES), { nil: undefined })
  })
  await fc.assert(
    fc.asyncProperty(situation, async ({ order, usual: nth, ...given }) => {
      const usual = order[nth % order.length] ?? 'main'
      const entries = order.flatMap(alias => federation.registries.all.filter(entry => entry.alias === alias))
      const precedence = new Precedence<FollowedRegistry>({
        registries: {
          all: entries,
          find: which => {
            const found = entries.find(({ alias }) => alias === (which ?? usual))
            if (found === undefined) throw new Error('no such registry')
            return found
          }
        },
        find: federation.view.find.bind(federation.view),
        isTraced: async () => false,
        near: async () => [],
        isPrivate: entry => entry.swarm !== 'public',
        isRead: entry => !given.unread.some(alias => alias === entry.alias),
        isFresh: entry => !given.stale.some(alias => alias === entry.alias),
        heardAt: () => undefined
      })
      const meaning = {
        from: given.from === undefined ? undefined : ids.get(given.from),
        main: given.main === undefined ? undefined : ids.get(given.main)
      }
      const name = nameHeldBy(given.holders)
      const standing = await precedence.standing(name, meaning)
      expect(told(standing)).toBe(oracle(order, { ...given, usual }))
      // Confusion: a private registry that holds the name is never passed over.
      const closed = order.filter(alias => PRIVATE.has(alias) && given.holders.includes(alias))
      if (standing.type === 'found' && closed.length > 0 && order.length > 1) expect(standing.isPrivate).toBe(true)
      // What is written goes to a private holder, to the default one, or nowhere.
      const to = await precedence.forWriting(name).then(
        ({ alias }) => alias,
        () => undefined
      )
      if (to !== undefined)
        expect(closed.length === 0 || order.length === 1 ? to === usual : to === closed[0]).toBe(true)
    }),
    { numRuns: 2_000 }
  )
})

describe('what a person is told', () => {
  test('of a name that two private registries hold: both, and what to write', async () => {
    const error = await refusal(federation.precedence.find(nameHeldBy(['acme', 'beta', 'main'])))
    expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME', next: 'say which one you mean: acme:n7 or beta:n7' })
    expect(error.message).toContain('acme and beta, all private')
  })

  test('of a name that nobody holds: where was looked, and what comes near in each', async () => {
    const error = await refusal(federation.precedence.find(subject('n31x')))
    expect(error).toMatchObject({ code: 'UNKNOWN_PACKAGE', tried: ['looked in acme, beta, main, other, third'] })
    expect(error.next).toBe('perhaps you meant acme:n3 or beta:n3 or main:n31 or other:n31 or third:n31 or acme:n31')
  })

  test('of a private registry that was never read: which one, and that nothing else is taken', async () => {
    const here = new Federation()
    const main = await here.follow('main', { kind: 'public' })
    publish(main, 'tool', { '99.0.0': [] })
    await here.read(main)
    const acme = await here.follow('acme', { kind: 'private', read: false })
    const error = await refusal(here.precedence.find(subject('tool')))
    expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(error.message).toContain('acme, a private registry, was never read here')
    expect(error.next).toMatch(/ggen-node connect ADDRESS; or say which registry you mean: main:tool$/)
    await here.read(acme)
    expect((await here.precedence.find(subject('tool'))).alias).toBe('main')
  })
})

describe('a private registry that was read once', () => {
  const HOUR = 3_600_000
  const world = async (): Promise<{ here: Federation; acme: FactWriter; main: FactWriter }> => {
    const here = new Federation()
    const main = await here.follow('main', { kind: 'public', isDefault: true })
    const acme = await here.follow('acme', { kind: 'private' })
    publish(acme, 'ours', { '1.0.0': [] })
    publish(main, 'ours', { '99.0.0': [] })
    // What a colleague has claimed in acme meanwhile, and nobody has told us of.
    publish(main, 'acme-new', { '99.0.0': [] })
    publish(main, 'web', { '1.0.0': ['acme-new *'] })
    await here.read(main)
    await here.read(acme)
    return { here, acme, main }
  }

  test('and not heard for long leaves nothing new to a public one, and keeps what it has', async () => {
    const { here, acme, main } = await world()
    const heard = here.now
    here.now += LIMITS.peers.heardMs
    expect(told(await here.precedence.standing(subject('acme-new')))).toBe('found main')
    here.now += 1
    for (const from of [undefined, main.registry, acme.registry])
      expect(told(await here.precedence.standing(subject('acme-new'), { from }))).toBe('unread acme')
    expect(told(await here.precedence.standing(subject('ours')))).toBe('found acme')
    const error = await refusal(here.project().install(['acme-new']))
    expect(error.code).toBe('AMBIGUOUS_NAME')
    expect(error.message).toContain(`acme, a private registry, was not heard since ${new Date(heard).toISOString()}`)
    expect(error.next).toMatch(/ggen-node connect ADDRESS; .*install --offline; .*main:acme-new$/)
    expect(await refusal(here.project().install(['main:web']))).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    // Nor is anything written in public that may be private by now.
    expect((await refusal(here.precedence.forWriting(subject('acme-new')))).code).toBe('AMBIGUOUS_NAME')
    expect((await here.precedence.forWriting(subject('ours'))).alias).toBe('acme')
    // Whoever says so goes by what is known here, and by nothing else of it.
    const known = here.precedence.asKnown()
    expect([(await known.find(subject('acme-new'))).alias, (await known.find(subject('ours'))).alias]).toEqual([
      'main',
      'acme'
    ])
    await here.read(acme)
    expect((await here.precedence.find(subject('acme-new'))).alias).toBe('main')
  })

  test('is remembered with the time over a restart, and a clock that stood in the future gives nothing', async () => {
    const { here } = await world()
    const again = async (now: number): Promise<string> => {
      const later = new Federation(here.kv)
      later.now = now
      await later.reopen()
      return told(await later.precedence.standing(subject('acme-new')))
    }
    expect(await again(here.now + 23 * HOUR)).toBe('found main')
    expect(await again(here.now + 25 * HOUR)).toBe('unread acme')
    expect(await again(here.now - 25 * HOUR)).toBe('unread acme')
  })

  test('and left, purged and joined again is as if it had never been read', async () => {
    const { here, acme } = await world()
    await here.registries.remove('acme', undefined)
    await here.facts.forget(acme.registry)
    await here.registries.add(acme.registry, { alias: 'acme', isDefault: false, swarm: 'acme' })
    await here.reopen()
    const error = await refusal(here.precedence.find(subject('ours')))
    expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(error.message).toContain('acme, a private registry, was never read here')
  })

  test('is waited for by a command that ends soon, whatever public peers there are', async () => {
    const { here, acme, main } = await world()
    const { registries, precedence } = here
    const sources = (): number => 1
    const awaited = (hasPublicPeers: boolean): readonly RegistryId[] =>
      registriesAwaited({ registries, precedence, sources, hasPublicPeers })
    expect(awaited(false)).toEqual([acme.registry])
    expect(awaited(true)).toEqual([main.registry, acme.registry])
    await registries.add(acme.registry, { alias: 'acme', isDefault: false, made: true })
    expect(awaited(false)).toEqual([acme.registry])
    expect(registriesAwaited({ registries, precedence, sources: () => 0, hasPublicPeers: false })).toEqual([])
  })

  test('counts as read for whoever founded it, until somebody else was heard about it', async () => {
    const { here, acme } = await world()
    await here.registries.remove('acme', undefined)
    await here.registries.add(acme.registry, { alias: 'acme', isDefault: false, swarm: 'acme', made: true })
    await here.reopen()
    here.now += 1_000 * HOUR
    expect(told(await here.precedence.standing(subject('acme-new')))).toBe('found main')
    await here.read(acme)
    here.now += 25 * HOUR
    expect(told(await here.precedence.standing(subject('acme-new')))).toBe('unread acme')
  })
})

describe('a private name that went away', () => {
  const world = async (): Promise<{ here: Federation; main: FactWriter; acme: FactWriter }> => {
    const here = new Federation()
    const main = await here.follow('main', { kind: 'public' })
    publish(main, 'tool', { '99.0.0': [] })
    await here.read(main)
    return { here, main, acme: await here.follow('acme', { kind: 'private' }) }
  }

  test('is not left to a stranger by a revocation that cuts its claim off', async () => {
    const { here, acme } = await world()
    const thief = person('thief')
    const grant = acme.grant(thief.did, 'curator')
    acme.claim('tool', { by: thief, authPrev: grant.id })
    await here.read(acme)
    expect(told(await here.precedence.standing(subject('tool')))).toBe('found acme')
    acme.revoke(thief.did, { authPrev: grant.id, heads: [] })
    await here.read(acme)
    expect(told(await here.precedence.standing(subject('tool')))).toBe('traces acme')
    const error = await refusal(here.precedence.find(subject('tool')))
    expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(await refusal(here.project().install(['tool']))).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    await here.project().install(['main:tool'])
  })

  test('is not left to a stranger where its curator came by an invite that was ended, or by a grant of a stolen key', async () => {
    const { here, acme, main } = await world()
    for (const name of ['first', 'second']) publish(main, name, { '99.0.0': [] })
    await here.read(main)
    const [door, guest, thief, friend] = ['door', 'guest', 'thief', 'friend'].map(name => person(name))
    if (door === undefined || guest === undefined || thief === undefined || friend === undefined)
      throw new Error('four')
    const invite = acme.invite(door.did, { role: 'curator' })
    acme.redeem(invite, guest.did, { by: door })
    acme.claim('first', { by: guest, authPrev: invite.id })
    const owning = acme.grant(thief.did, 'owner', { authPrev: invite.id })
    const given = acme.grant(friend.did, 'curator', { by: thief, authPrev: owning.id })
    acme.claim('second', { by: friend, authPrev: given.id })
    await here.read(acme)
    for (const name of ['first', 'second'])
      expect(told(await here.precedence.standing(subject(name)))).toBe('found acme')
    const ended = acme.revoke(door.did, { authPrev: owning.id, heads: [] })
    const cut = acme.revoke(guest.did, { authPrev: ended.id, heads: [] })
    acme.revoke(thief.did, { authPrev: cut.id, heads: [] })
    await here.read(acme)
    for (const name of ['first', 'second'])
      expect(told(await here.precedence.standing(subject(name)))).toBe('traces acme')
  })
})

describe('a public name', () => {
  test('is nobody’s to block who never could name or publish it, in the private registry or cut off from it', async () => {
    const here = new Federation()
    const main = await here.follow('main', { kind: 'public' })
    const acme = await here.follow('acme', { kind: 'private' })
    const names = ['left-pad', 'right-pad', 'acme-pad']
    for (const name of names) publish(main, name, { '1.0.0': [] })
    await here.read(main)
    const [weak, narrow] = [person('weak'), person('narrow')]
    const first = acme.grant(weak.did, 'member')
    const granted = acme.grant(narrow.did, 'publisher', { scope: 'ggen/acme-*', authPrev: first.id })
    const nothing = { registry: granted.id, package: granted.id }
    for (const by of [weak, narrow]) for (const name of names) acme.yank(name, '1.0.0', nothing, { by })
    // Nor by giving itself a role.
    acme.grant(weak.did, 'curator', { by: weak, authPrev: granted.id })
    await here.read(acme)
    for (const name of names) expect(await here.view.find(acme.registry, subject(name))).toBeDefined()
    const expected = ['found main', 'found main', 'traces acme']
    const standings = (): Promise<readonly string[]> =>
      Promise.all(names.map(async name => told(await here.precedence.standing(subject(name)))))
    expect(await standings()).toEqual(expected)
    acme.revoke(weak.did, { authPrev: granted.id, heads: [] })
    await here.read(acme)
    expect(await standings()).toEqual(expected)
  })
})

test('the order of following survives a restart, and records from before there was one are in the order of their ids', async () => {
  const here = new Federation()
  const writers = []
  for (const alias of ['zeta', 'main', 'alpha'])
    writers.push(await here.follow(alias, { kind: 'public', isDefault: alias === 'main' }))
  const again = new Federation(here.kv)
  await again.registries.load()
  expect(again.registries.all.map(({ alias }) => alias)).toEqual(['zeta', 'main', 'alpha'])
  await again.registries.add(writers[0]?.registry ?? '', { alias: 'renamed', isDefault: true })
  expect(again.registries.all.map(({ alias }) => alias)).toEqual(['renamed', 'main', 'alpha'])
})
