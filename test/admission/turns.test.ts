import { expect, test } from 'vitest'
import { RegistryState } from '../../node/services/registry-state.ts'
import { FactWriter, person, subject } from '../support/facts.ts'

test('reading ten thousand facts of one package gives others their turns', async () => {
  const facts = new FactWriter(person('root'))
  const { id, bytes } = facts.claim('alpha')
  const stored = Array.from({ length: 10_000 }, () => [id, bytes] as const)
  const state = new RegistryState(facts.registry, {
    factsOf: async () => stored,
    cutFactsOf: async () => [],
    cutCount: () => 0
  })
  let turns = 0
  let done = false
  const turn = (): void => {
    turns += 1
    if (!done) setImmediate(turn)
  }
  setImmediate(turn)
  expect(await state.factsOf(subject('alpha'))).toHaveLength(10_000)
  done = true
  expect(turns).toBeGreaterThan(50)
})
