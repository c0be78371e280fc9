import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'
import { defineConfig } from 'vitest/config'
import { ALONE } from './test/support/sharing.ts'

/**
 * The files that take longest, in this order, begin first: a worker that gets one of them last works alone to the end. In
 * a fresh clone nobody knows yet how long files take.
 */
const LONG = [
  'cli/manual',
  'integration/leak',
  'storage/bit-rot',
  'integration/cli',
  'build/package',
  'integration/project-network',
  'integration/demo',
  'membership/swarm',
  'leak/witnesses',
  'simulation/simulation',
  'integration/project-bad-input',
  'content/cid-vectors',
  'p2p/submit',
  'integration/cli-safety',
  'integration/crash',
  'p2p/resume',
  'operator/backup',
  'p2p/crowd',
  'build/embedding',
  'integration/takedown-store',
  'documents/worker-engine',
  'integration/private-swarm-cli'
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = LONG.findIndex(name => moduleId.endsWith(`/${name}.test.ts`))
      return index === -1 ? LONG.length : index
    }
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b))
  }
}

const OWN = ALONE.map(name => `test/${name}.test.ts`)
const NEVER = ['test/**/*.long.test.ts', 'node_modules/**']

/** `npm test`: everything that is quick enough to run before each commit. */
export default defineConfig({
  test: {
    // Processes, not threads: native stores, signals and environment variables belong to one test file each.
    pool: 'forks',
    maxWorkers: 2,
    // Deadlines matter to what hangs alone: a busy machine takes many times as long as an idle one, and must not fail for it.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Half of the interval at which sets are compared (`test/support/heard.ts`).
    expect: { poll: { timeout: 30_000 } },
    teardownTimeout: 60_000,
    reporters: ['default'],
    sequence: { sequencer: LongestFirst },
    setupFiles: ['test/support/each-file.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'own', include: OWN, exclude: NEVER, globalSetup: 'test/support/built-program.ts' }
      },
      {
        extends: true,
        test: { name: 'sharing', include: ['test/**/*.test.ts'], exclude: [...OWN, ...NEVER], isolate: false }
      }
    ]
  }
})
