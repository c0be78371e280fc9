import { test } from 'vitest'
import { crashWhileInstalling, crashWhilePublishing } from '../support/crash-rounds.ts'

test('a node that is killed while it publishes loses nothing it acknowledged and shows nothing half', async () => {
  await crashWhilePublishing({ rounds: 3, seed: 4917 })
})

test('a node that is killed while it installs leaves a whole package or none', async () => {
  await crashWhileInstalling({ rounds: 1, seed: 4918 })
})
