import { defineConfig } from 'vitest/config'

/** `npm run test:long`: what takes minutes. One file at a time, because these measure and crowd the machine. */
export default defineConfig({
  test: {
    include: ['test/**/*.long.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: ['default'],
    passWithNoTests: false
  }
})
