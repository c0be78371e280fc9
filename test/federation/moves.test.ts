import { expect, test } from 'vitest'
import { Federation, publish } from '../support/federation.ts'
import { refusal } from '../support/project.ts'

test('moves that are accepted lead from no registry that is not followed here to one that is', async () => {
  const here = new Federation()
  const main = await here.follow('main', { kind: 'public' })
  // As a colleague wrote the project: acme is the registry that its plain names mean.
  const acme = await here.follow('acme', { kind: 'private', isDefault: true })
  publish(acme, 'app', { '1.0.0': ['lib *'] })
  publish(acme, 'lib', { '1.0.0': [] })
  publish(acme, 'secret', { '1.0.0': [] })
  publish(main, 'site', { '1.0.0': ['lib *'] })
  publish(main, 'tool', { '1.0.0': [] })
  for (const writer of [acme, main]) await here.read(writer)
  const [project, needing] = [here.project(), here.project()]
  await project.install(['app', 'secret'])
  await needing.install(['main:site'])
  expect(needing.locked).toEqual(['acme:lib@1.0.0', 'main:site@1.0.0'])
  for (const name of ['app', 'lib', 'secret']) publish(main, name, { '99.0.0': [] })
  await here.read(main)
  await here.registries.remove('acme', 'main')
  const before = [project.locked, needing.locked]
  for (const call of [
    () => project.update([], { acceptMoves: true }),
    () => project.update(['secret'], { acceptMoves: true }),
    () => project.install([], { acceptMoves: true }),
    () => project.install(['tool'], { acceptMoves: true }),
    () => needing.update([], { acceptMoves: true }),
    () => needing.update()
  ])
    expect(await refusal(call())).toMatchObject({ code: 'UNKNOWN_REGISTRY' })
  expect([project.locked, needing.locked]).toEqual(before)
})
