import { defineConfig } from 'vitest/config'

/** `npm run test:long`: what takes minutes. Three files at a time: the longest of them waits most of its time. */
export default defineConfig({
  test: {
    include: ['test/**/*.long.test.ts'],
    pool: 'forks',
    setupFiles: ['test/support/each-file.ts'],
    globalSetup: 'test/support/built-program.ts',
    maxWorkers: 3,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    // Half of the interval at which sets are compared (`test/support/heard.ts`).
    expect: { poll: { timeout: 30_000 } },
    teardownTimeout: 30_000,
    reporters: ['default'],
    passWithNoTests: false
  }
})
