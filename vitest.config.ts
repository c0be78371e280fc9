import { defineConfig } from 'vitest/config'

/** `npm test`: everything that is quick enough to run before each commit. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.long.test.ts', 'node_modules/**'],
    // Processes, not threads: native stores, signals and environment variables belong to one test file each.
    pool: 'forks',
    globalSetup: 'test/support/built-program.ts',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    teardownTimeout: 10_000,
    reporters: ['default']
  }
})
