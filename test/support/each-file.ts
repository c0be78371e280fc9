import { afterAll, expect } from 'vitest'
import { removeTempDirs } from './temp-dir.ts'

const before = belongings()

// Registered before all hooks of the test file, so it runs after them: they may still close stores in those folders.
afterAll(async () => {
  await removeTempDirs()
  expect(belongings(), 'what belongs to the whole process is as it was before this file').toEqual(before)
})

/** What the next test file in the same process would find changed. */
function belongings(): unknown {
  return {
    env: { ...process.env },
    folder: process.cwd(),
    listeners: Object.fromEntries(process.eventNames().map(name => [String(name), process.listenerCount(name)]))
  }
}
