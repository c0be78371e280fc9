import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDaemon } from '../daemon.ts'
import type { Daemon, DaemonOptions } from '../daemon.ts'
import { tempDir } from '../temp-dir.ts'
import type { Plant } from './plants.ts'

/** `ggen-node start` as it is, with instruments: see `preload.ts`. */
export interface WatchedDaemon extends Daemon {
  /** Everything that it was told, decrypted. */
  readonly recording: string
  readonly outgoingFile: string
  /** Whatever it reached out for so far: `tcp 127.0.0.1:4917`. */
  outgoing(): Promise<readonly string[]>
  /** Makes it leak. */
  plant(order: Plant): Promise<void>
}

export async function startWatched(options: DaemonOptions = {}): Promise<WatchedDaemon> {
  const folder = await tempDir('watched')
  const [recording, outgoing, planted] = ['recording', 'outgoing', 'plant'].map(name => join(folder, name))
  if (recording === undefined || outgoing === undefined || planted === undefined) throw new Error('no folder')
  await writeFile(recording, '')
  await writeFile(outgoing, '')
  const env = {
    ...options.env,
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'preload.ts')}`,
    GGEN_TEST_RECORDING: recording,
    GGEN_TEST_OUTGOING: outgoing,
    GGEN_TEST_PLANT: planted
  }
  const daemon = await startDaemon({ ...options, env, fromSources: true })
  return {
    ...daemon,
    recording,
    outgoingFile: outgoing,
    outgoing: async () => (await readFile(outgoing, 'utf8')).split('\n').filter(line => line !== ''),
    plant: async order => {
      await writeFile(planted, JSON.stringify(order))
      process.kill(daemon.pid, 'SIGUSR2')
    }
  }
}
