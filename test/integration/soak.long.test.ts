import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { caughtUp, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { startInspected } from '../support/inspected.ts'
import type { InspectedDaemon, Taken } from '../support/inspected.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

const MiB = 2 ** 20
const MINUTE = 60_000
/** Half an hour where somebody waits for it; what fits beside the other long tests otherwise. */
const MINUTES = Number(process.env['GGEN_SOAK_MINUTES'] ?? 8)
const LOOKS = 3
const ROUND_MS = 2_000
const HEAP_GROWTH = 3 * MiB
/** Level compacts, a peer has just connected: a few handles are open at one look and not at another. */
const FILES_GROWTH = 24

const isLinux = process.platform === 'linux'
const why = isLinux ? '' : ' (skipped: what a process has open is counted in /proc)'
test.skipIf(!isLinux)(
  `a mirror takes no more after ${MINUTES} minutes of publishing, installing, coming and going than after a third of them${why}`,
  async () => {
    const publisher = await startDaemon()
    const registry = (await publisher.client.call('registryCreate', { name: 'soak' })).id
    const mirror = await startInspected({ args: ['--keep', 'all'] })
    await mirror.client.call('registryAdd', { id: registry, peer: publisher.address, isDefault: true })
    const installer = await startDaemon()
    await installer.client.call('registryAdd', { id: registry, peer: mirror.address, isDefault: true })

    const started = performance.now()
    const taken: Taken[] = []
    for (let round = 0; taken.length < LOOKS; round++) {
      const begun = performance.now()
      await goRound({ publisher, mirror, installer }, registry, round)
      if (performance.now() - started >= ((taken.length + 1) * MINUTES * MINUTE) / LOOKS) {
        taken.push(await mirror.taken())
      }
      // A pace, and not a wait for something: rounds that follow each other at once would measure the machine.
      await pause(Math.max(0, ROUND_MS - (performance.now() - begun)))
    }

    const [first] = taken
    // Shown where it fails: what grew, and when.
    const story = JSON.stringify(taken)
    for (const later of taken.slice(1)) {
      expect(later.heap - (first?.heap ?? 0), story).toBeLessThan(HEAP_GROWTH)
      expect(later.files - (first?.files ?? 0), story).toBeLessThan(FILES_GROWTH)
    }
    const [space] = (await mirror.client.call('storeStat', {})).spaces
    expect(space).toMatchObject({ broken: [], reclaimableBytes: 0 })
    await Promise.all([publisher.stop(), mirror.stop(), installer.stop()])
  },
  (MINUTES + 4) * MINUTE
)

interface Soaked {
  readonly publisher: Daemon
  readonly mirror: InspectedDaemon
  readonly installer: Daemon
}

const PACKAGES = 12
const PUBLISH_EVERY = 3
const COMES_EVERY = 10

/**
 * Something is published, the mirror gets it, somebody installs it from there; now and then one comes, and is gone. Facts stay
 * in memory as long as there is room for them, so most rounds install what was there before.
 */
async function goRound({ publisher, mirror, installer }: Soaked, registry: string, round: number): Promise<void> {
  const at = Math.floor(round / PUBLISH_EVERY)
  const name = `soaked-${at % PACKAGES}`
  const version = `1.${Math.floor(at / PACKAGES)}.0`
  if (round % PUBLISH_EVERY === 0) {
    const files = { 'data.bin': randomBytes(300_000), 'a/b.txt': version }
    const folder = await packageFolder({ name, version, files })
    await publisher.client.call('publish', { folder, registry })
    await rm(folder, { recursive: true })
    await caughtUp(publisher, mirror, registry, { kept: true })
    await caughtUp(publisher, installer, registry)
  }
  const project = await tempDir('soak')
  const { installed } = await installer.client.call('install', { references: [`${name}@${version}`], project })
  expect(installed).toMatchObject([{ version }])
  // Nothing needs it any more, and the next round fetches it again.
  await rm(project, { recursive: true })
  await installer.client.call('storeGc', { all: true, dryRun: false })
  if (round % COMES_EVERY !== 0) return
  const guest = await startDaemon({ args: ['--bootstrap', mirror.address] })
  await guest.client.call('registryAdd', { id: registry, peer: mirror.address, isDefault: true })
  await caughtUp(publisher, guest, registry)
  await guest.stop('SIGKILL')
}
