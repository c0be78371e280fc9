import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Lets a node install whatever can be resolved. For tests that are about something else than policies: what was published a
 * moment ago by somebody else is refused for a day by the policy that is in force where nobody said anything.
 */
export async function openPolicy(home: string): Promise<void> {
  await writeFile(join(home, 'policy.toml'), 'version = 1\npreset = "open"\n', { flag: 'wx' }).catch(
    (error: unknown) => {
      // A test that says itself what the policy is has the last word.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  )
}
