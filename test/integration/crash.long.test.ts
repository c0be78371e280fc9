import { test } from 'vitest'
import { crashWhileCollecting } from '../support/collect-rounds.ts'
import { crashWhileInstalling, crashWhilePublishing } from '../support/crash-rounds.ts'

test('a hundred kills in the middle of publishing', async () => {
  await crashWhilePublishing({ rounds: 100, seed: Number(process.env['GGEN_TEST_SEED'] ?? 20_261) })
}, 900_000)

test('thirty kills in the middle of an install', async () => {
  await crashWhileInstalling({ rounds: 30, seed: Number(process.env['GGEN_TEST_SEED'] ?? 20_262) })
}, 600_000)

test('twelve kills in the middle of a collection of garbage', async () => {
  await crashWhileCollecting({ rounds: 12, seed: Number(process.env['GGEN_TEST_SEED'] ?? 20_263) })
}, 300_000)
