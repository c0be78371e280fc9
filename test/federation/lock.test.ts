import { describe, expect, test } from 'vitest'
import type { Lock, LockedPack } from '../../node/services/project/lock-format.ts'
import { packId } from '../../node/services/project/lock-format.ts'
import type { FactWriter } from '../support/facts.ts'
import { Federation, publish } from '../support/federation.ts'
import type { TestProject } from '../support/federation.ts'
import { refusal } from '../support/project.ts'

interface World {
  readonly here: Federation
  readonly acme: FactWriter
  readonly main: FactWriter
  readonly other: FactWriter
}

/** `main` (the default one) and `other` are public, `acme` is private; `web` and `tool` are of main, and web needs util. */
async function world(): Promise<World> {
  const here = new Federation()
  const main = await here.follow('main', { kind: 'public', isDefault: true })
  const other = await here.follow('other', { kind: 'public' })
  const acme = await here.follow('acme', { kind: 'private' })
  publish(main, 'web', { '1.0.0': ['util *'], '1.1.0': ['util *'] })
  publish(main, 'util', { '1.0.0': [] })
  publish(main, 'tool', { '1.0.0': [], '1.1.0': [] })
  publish(other, 'thing', { '1.0.0': ['util *', 'gadget *'] })
  publish(other, 'util', { '5.0.0': [] })
  publish(other, 'gadget', { '1.0.0': [] })
  publish(acme, 'secret', { '1.0.0': ['tool ^1.0.0'] })
  for (const writer of [main, other, acme]) await here.read(writer)
  return { here, acme, main, other }
}

async function claimInAcme({ here, acme }: World, name: string): Promise<void> {
  publish(acme, name, { '1.0.0': [], '7.0.0': [] })
  await here.read(acme)
}

describe('one tree over many registries', () => {
  test('each package has its dependencies from its own registry first, and then from where they are', async () => {
    const { here } = await world()
    const project = here.project()
    await project.install(['web', 'thing', 'secret'])
    expect(project.locked).toEqual([
      'acme:secret@1.0.0',
      'main:tool@1.1.0',
      'main:util@1.0.0',
      'main:web@1.1.0',
      'other:gadget@1.0.0',
      'other:thing@1.0.0',
      'other:util@5.0.0'
    ])
    // A name that is not of the project's plain registry is written with its alias: nobody else can mean another by it.
    expect(project.wants).toEqual(['acme:secret', 'other:thing', 'web'])
    const settled = await project.install()
    expect([settled.reasons, settled.wantChanges]).toEqual([[], []])
  })

  test('two that need the same package agree about its version, and are told of by their registries', async () => {
    const w = await world()
    publish(w.main, 'a', { '1.0.0': ['shared ^1.0.0'] })
    publish(w.other, 'b', { '1.0.0': ['shared ^2.0.0'] })
    publish(w.acme, 'shared', { '1.0.0': [], '2.0.0': [] })
    for (const writer of [w.main, w.other, w.acme]) await w.here.read(writer)
    const error = await refusal(w.here.project().install(['a', 'b']))
    expect(error.code).toBe('UNSOLVABLE')
    const said = [error.message, ...error.tried].join('\n')
    expect(said).toContain('main:a')
    expect(said).toContain('needs acme:shared ^1.0.0')
    expect(said).toContain('other:b')
    expect(said).toContain('acme:shared has 2.0.0, 1.0.0')
  })

  test('the same lock comes of the same registries in whatever order the wishes are', async () => {
    const { here } = await world()
    const [one, two] = [here.project(), here.project()]
    await one.install(['web', 'thing', 'secret'])
    for (const name of ['secret', 'thing', 'web']) await two.install([name])
    expect(two.locked).toEqual(one.locked)
  })

  test('a dependency that nobody has is refused by its name, with what comes near anywhere', async () => {
    const w = await world()
    publish(w.main, 'lonely', { '1.0.0': ['gadgets *'] })
    await w.here.read(w.main)
    const error = await refusal(w.here.project().install(['lonely']))
    expect(error).toMatchObject({ code: 'MISSING_DEPENDENCY' })
    expect(error.message).toContain('no registry that is followed here has a package gadgets')
    expect(error.next).toContain('other:gadget')
  })

  test('a wish with an alias means that registry only, and is told who else has the name', async () => {
    const { here } = await world()
    const error = await refusal(here.project().install(['acme:gadget']))
    expect(error).toMatchObject({ code: 'UNKNOWN_PACKAGE', message: 'registry acme has no package gadget' })
    expect(error.tried).toContain('registry other holds a package gadget, acme does not')
    expect(error.next).toContain('other:gadget')
    expect((await refusal(here.project().install(['gadget'], { registry: 'main' }))).code).toBe('UNKNOWN_PACKAGE')
    expect((await refusal(here.project().install(['main:gadget'], { registry: 'other' }))).code).toBe('USAGE')
  })
})

describe('a locked name', () => {
  test('stays in its registry when a private one begins to hold it: refused, with both ways on', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['tool'])
    await claimInAcme(w, 'tool')
    for (const call of [() => project.install(), () => project.update(), () => project.install(['web'])]) {
      const error = await refusal(call())
      expect(error).toMatchObject({
        code: 'REGISTRY_CHANGED',
        message: 'tool is locked from registry main, and would now be taken from acme'
      })
      expect(error.tried.join('\n')).toContain(w.acme.registry)
      expect(error.next).toMatch(/remove tool, then ggen-node install main:tool.*--accept-moves.*--frozen/)
    }
    const frozen = await project.install([], { frozen: true })
    expect([frozen.reasons, project.locked]).toEqual([[], ['main:tool@1.1.0']])
  })

  test('is kept by removing it and naming its registry', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['tool'])
    await claimInAcme(w, 'tool')
    await project.remove(['tool'])
    await project.install(['main:tool'])
    expect([project.wants, project.locked]).toEqual([['main:tool'], ['main:tool@1.1.0']])
    await project.update()
    expect(project.locked).toEqual(['main:tool@1.1.0'])
  })

  test('moves when somebody accepts it', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['tool@*', 'web'])
    await claimInAcme(w, 'tool')
    await claimInAcme(w, 'util')
    const target = await project.install([], { acceptMoves: true })
    expect(project.locked).toEqual(['acme:tool@7.0.0', 'acme:util@7.0.0', 'main:web@1.1.0'])
    expect(target.reasons.length).toBeGreaterThan(0)
    expect((await project.install()).reasons).toEqual([])
  })

  test('that only another package needs is held the same way, and an override with an alias keeps it', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['web'])
    await claimInAcme(w, 'util')
    const error = await refusal(project.install())
    expect(error).toMatchObject({ code: 'REGISTRY_CHANGED' })
    expect(error.tried).toContain('web@1.1.0 of main needs it')
    expect(error.next).toContain('"main:util" = "*" among the overrides')
    await project.install([], { frozen: true })
    project.override({ 'main:util': '*' })
    await project.install()
    await project.update()
    expect(project.locked).toEqual(['main:util@1.0.0', 'main:web@1.1.0'])
  })

  test('that two private registries hold goes on in the one that it is locked in', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['secret'])
    const beta = await w.here.follow('beta', { kind: 'private' })
    publish(beta, 'secret', { '9.0.0': [] })
    await w.here.read(beta)
    expect((await refusal(w.here.project().install(['secret']))).code).toBe('AMBIGUOUS_NAME')
    await project.install()
    await project.update()
    expect(project.locked).toEqual(['acme:secret@1.0.0', 'main:tool@1.1.0'])
  })

  test('that two private registries hold and that is locked in neither is refused', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['tool'])
    const beta = await w.here.follow('beta', { kind: 'private' })
    publish(beta, 'tool', { '1.0.0': [] })
    await w.here.read(beta)
    await claimInAcme(w, 'tool')
    const error = await refusal(project.update())
    expect(error).toMatchObject({ code: 'REGISTRY_CHANGED' })
    expect(error.next).toContain('acme:tool or beta:tool')
    expect((await refusal(project.install([], { acceptMoves: true }))).code).toBe('REGISTRY_CHANGED')
    expect(project.locked).toEqual(['main:tool@1.1.0'])
  })

  test('stays when a registry that comes before its own begins to hold it', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['web', 'gadget'])
    publish(w.main, 'gadget', { '2.0.0': [] })
    await w.here.read(w.main)
    // It was written with its alias, so nothing is in doubt.
    await project.update()
    expect(project.locked).toContain('other:gadget@1.0.0')
    const thing = w.here.project()
    await thing.install(['thing'])
    expect(thing.locked).toContain('other:gadget@1.0.0')
  })

  test('stays when another registry becomes the default one, here or for whoever has the project too', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['web', 'tool'])
    publish(w.other, 'tool', { '9.0.0': [] })
    await w.here.read(w.other)
    await w.here.registries.add(w.other.registry, { alias: 'other', isDefault: true })
    await project.update()
    expect(project.locked).toEqual(['main:tool@1.1.0', 'main:util@1.0.0', 'main:web@1.1.0'])
    const fresh = w.here.project()
    await fresh.install(['tool'])
    expect(fresh.locked).toEqual(['other:tool@9.0.0'])
  })
})

describe('an edited lockfile', () => {
  /** Puts another registry's package of the same name in the place of a dependency, as an attacker with a patch would. */
  const swap = (project: TestProject, name: string, by: LockedPack): void => {
    const { lock } = project.state
    const old = [...lock.packs.values()].find(pack => pack.name === `ggen/${name}`)
    if (old === undefined) throw new Error('nothing to swap')
    const id = packId(by.name, by.registry, false)
    const packs = new Map(
      [...lock.packs.values()]
        .filter(pack => pack !== old)
        .map((pack): [string, LockedPack] => [
          pack.id,
          { ...pack, dependencies: pack.dependencies.map(each => (each === old.id ? id : each)) }
        ])
    )
    packs.set(id, { ...by, id })
    project.state = { ...project.state, lock: { ...lock, packs } satisfies Lock }
  }

  test('that binds a dependency to another registry is refused', async () => {
    const { here } = await world()
    const [project, source] = [here.project(), here.project()]
    await project.install(['web'])
    await source.install(['other:util'])
    const [evil] = source.state.lock.packs.values()
    if (evil === undefined) throw new Error('nothing was locked')
    const { requested: _requested, ...pack } = evil
    swap(project, 'util', pack)
    expect(project.locked).toContain('other:util@5.0.0')
    for (const call of [() => project.install(), () => project.update(['web'])])
      expect(await refusal(call())).toMatchObject({
        code: 'REGISTRY_CHANGED',
        message: 'util is locked from registry other, and would now be taken from main'
      })
  })

  test('that gives an alias to another registry is refused', async () => {
    const { here, other } = await world()
    const project = here.project()
    await project.install(['acme:secret'])
    const { lock } = project.state
    const packs = new Map(
      [...lock.packs].map(([id, pack]) =>
        pack.alias === 'acme' ? [id, { ...pack, registry: other.registry }] : [id, pack]
      )
    )
    project.state = { ...project.state, lock: { ...lock, packs } }
    expect(await refusal(project.install())).toMatchObject({ code: 'REGISTRY_CHANGED' })
    expect(await refusal(project.install([], { frozen: true }))).toMatchObject({ code: 'LOCKFILE_INVALID' })
  })

  test('that gives the wish of an alias, unknown here, to a stranger is refused where a private registry has the name', async () => {
    const w = await world()
    publish(w.other, 'secret', { '66.0.0': [] })
    await w.here.read(w.other)
    // What the company's project calls corp is acme here.
    const source = w.here.project()
    await source.install(['other:secret'])
    const [evil] = source.state.lock.packs.values()
    if (evil === undefined) throw new Error('nothing was locked')
    const locked: Lock = {
      ...source.state.lock,
      packs: new Map([[evil.id, { ...evil, alias: 'corp', requested: '*' }]])
    }
    const want = { key: 'corp:secret', alias: 'corp', name: evil.name, range: '*' }
    const project = w.here.project()
    project.state = { project: { wants: [want], overrides: [] }, lock: locked }
    for (const flags of [{}, { acceptMoves: true }])
      for (const call of [() => project.install([], flags), () => project.update([], flags)]) {
        const error = await refusal(call())
        expect(error).toMatchObject({ code: 'REGISTRY_CHANGED' })
        expect(error.message).toContain('acme, a private registry, holds a package secret too')
        expect(error.next).toContain('then install acme:secret')
      }
    // An override binds what others need, by the same alias.
    project.state = { project: { wants: [], overrides: [want] }, lock: locked }
    expect(await refusal(project.install())).toMatchObject({ code: 'REGISTRY_CHANGED' })
    // Where corp is known to be that registry, and where no private one has the name, all is as it is locked.
    await w.here.registries.add(w.other.registry, { alias: 'corp', isDefault: false })
    project.state = { project: { wants: [want], overrides: [] }, lock: locked }
    await project.install()
    await w.here.registries.add(w.other.registry, { alias: 'other', isDefault: false })
    await w.here.registries.remove('acme', undefined)
    await project.install()
    expect(project.locked).toEqual(['other:secret@66.0.0'])
  })
})

describe('a private registry that was never read', () => {
  test('keeps nobody from what is locked, and lets nothing new be taken from elsewhere', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['tool@^1.0.0', 'web'])
    await w.here.follow('beta', { kind: 'private', read: false })
    expect((await project.install()).reasons).toEqual([])
    await project.update()
    expect(project.locked).toEqual(['main:tool@1.1.0', 'main:util@1.0.0', 'main:web@1.1.0'])
    for (const name of ['gadget', 'secret', 'nothing'])
      expect(await refusal(project.install([name]))).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    await project.install(['other:gadget'])
    // What it needs of its own has no alias of its own.
    const error = await refusal(w.here.project().install(['main:web']))
    expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(error.message).toContain('util')
    const decided = w.here.project()
    decided.override({ 'main:util': '*' })
    await decided.install(['main:web'])
    expect(decided.locked).toEqual(['main:util@1.0.0', 'main:web@1.1.0'])
  })

  test('leaves optional dependencies out that nobody can tell whose they are', async () => {
    const w = await world()
    publish(w.main, 'picky', { '1.0.0': ['util * optional'] })
    await w.here.read(w.main)
    await w.here.follow('beta', { kind: 'private', read: false })
    const project = w.here.project()
    const { left } = await project.install(['main:picky'])
    expect(project.locked).toEqual(['main:picky@1.0.0'])
    expect(left).toMatchObject([{ name: 'util', why: 'optional' }])
    expect(left[0]?.reason).toContain('beta')
    expect((await project.install()).reasons).toEqual([])
  })
})

describe('a registry that is followed no longer', () => {
  test('is named by what the lock needs of it, and nothing is taken from elsewhere instead', async () => {
    const w = await world()
    const project = w.here.project()
    await project.install(['web', 'secret'])
    publish(w.main, 'secret', { '99.0.0': [] })
    await w.here.read(w.main)
    await w.here.registries.remove('acme', undefined)
    for (const call of [
      () => project.install(),
      () => project.install([], { frozen: true }),
      () => project.update(),
      () => project.update(['web']),
      () => project.install([], { acceptMoves: true })
    ]) {
      const error = await refusal(call())
      expect(error).toMatchObject({ code: 'UNKNOWN_REGISTRY' })
      expect([error.message, ...error.tried, error.next].join('\n')).toContain(w.acme.registry)
    }
    expect(project.locked).toContain(`${w.acme.registry}:secret@1.0.0`)
    // As long as it is followed again, all is as it was.
    await w.here.registries.add(w.acme.registry, { alias: 'acme', isDefault: false, swarm: 'acme' })
    expect((await project.install()).reasons).toEqual([])
  })

  test('leaves what is not locked to the others', async () => {
    const w = await world()
    await w.here.registries.remove('main', 'other')
    const project = w.here.project()
    await project.install(['util'])
    expect(project.locked).toEqual(['other:util@5.0.0'])
  })
})
