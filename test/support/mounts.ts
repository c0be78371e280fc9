import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe } from 'vitest'

const run = promisify(execFile)

/** Why nothing can be mounted here; undefined where it can: root may be refused it, too, as in most containers. */
const NO_MOUNTS: string | undefined = whyNot()

/** A title and a suite like `describe`; where nothing can be mounted it is reported as skipped, and the title says why. */
export function describeWithMounts(title: string, suite: () => void): void {
  if (NO_MOUNTS === undefined) describe(title, suite)
  else describe.skip(`${title} (skipped: ${NO_MOUNTS})`, suite)
}

/** Takes a disk away again after whatever else is to be done has been tried: a mount outlives the process that made it. */
export async function unmountAfter(disk: string, others: () => Promise<unknown>): Promise<void> {
  try {
    await others()
  } finally {
    await run('umount', ['--lazy', disk])
  }
}

/** Writes until the disk takes nothing more. */
export async function fill(path: string): Promise<void> {
  const file = await open(path, 'a')
  try {
    for (let size = 1024 * 1024; size >= 512; size = Math.floor(size / 2)) {
      for (;;) {
        const { bytesWritten } = await file.write(Buffer.alloc(size)).catch(() => ({ bytesWritten: 0 }))
        if (bytesWritten < size) break
      }
    }
  } finally {
    await file.close()
  }
}

function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root can mount a disk'
  const probe = mkdtempSync(join(tmpdir(), 'ggen-mount-'))
  try {
    const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'ggen-test', probe], {
      encoding: 'utf8'
    })
    if (status !== 0) return `mounts are not permitted: ${error?.message ?? stderr.trim().split('\n')[0]}`
    spawnSync('umount', ['--lazy', probe])
    return undefined
  } finally {
    rmdirSync(probe)
  }
}
