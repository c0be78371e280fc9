import { join } from 'node:path'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { FactStore } from '../storage/fact-store.ts'
import { HeadFiles } from '../storage/head-files.ts'
import { openWithBallast } from '../storage/home.ts'
import type { Home } from '../storage/home.ts'
import { openLevel } from '../storage/level-key-value.ts'
import type { LevelKeyValue } from '../storage/level-key-value.ts'
import { Records } from '../storage/records.ts'
import { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Scrub } from './scrub.ts'

export interface StoreInit {
  readonly home: Home
  readonly clock: Clock
  readonly log: Log
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
}

/** What repairs a damaged store, once it is there. */
export interface LateScrub {
  scrub: Scrub | undefined
}

export interface OpenedStore {
  readonly kv: LevelKeyValue
  readonly records: Records
  readonly registries: Registries
  readonly facts: FactStore
  readonly lateScrub: LateScrub
  /** Closes the files, after the heads of all registries were written beside them. */
  close(): Promise<void>
}

/** Opens the store and what is read from it before anything else, in whatever state the disk left it. */
export async function openStore({ home, clock, log, stopping }: StoreInit): Promise<OpenedStore> {
  const kv = await openWithBallast(home, () => openLevel(home.paths.store))
  clock.after(LIMITS.storage.settledMs, () => void kv.settled(), stopping)
  try {
    const records = new Records(kv)
    const registries = new Registries(records)
    await readable(kv, log, async () => {
      await registries.load()
      await records.chain()
      await records.dialled()
    })
    const heads = new HeadFiles(join(home.paths.dir, 'heads'), {
      later: (ms, task) => clock.after(ms, task, stopping),
      onError: error => log.warn({ error }, 'the head of a registry could not be written')
    })
    await followAgain(heads, registries, log)
    const lateScrub: LateScrub = { scrub: undefined }
    const onDamage = (registry: RegistryId, error: unknown): void => lateScrub.scrub?.met(registry, error)
    const facts = new FactStore(kv, { heads, onDamage, now: () => clock.now() })
    const close = async (): Promise<void> => {
      try {
        await facts.close()
      } catch (error) {
        // The next start has less to compare with, which is no reason to keep the store open.
        log.warn({ error }, 'the heads of registries could not be written')
      } finally {
        await kv.close()
      }
    }
    return { kv, records, registries, facts, lateScrub, close }
  } catch (error) {
    await kv.close()
    throw error
  }
}

/** Small records are read before there is anything that repairs: where one is damaged, what is left moves to new files. */
async function readable(kv: LevelKeyValue, log: Log, read: () => Promise<void>): Promise<void> {
  try {
    await read()
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'STORE_CORRUPT') throw error
    log.error({ reason: messageOf(error) }, 'the store is damaged: what can be read of it moves to new files')
    await kv.rebuild()
    await read()
  }
}

/** A registry that has a head on this disk and no record was followed until the disk lost the record. */
async function followAgain(heads: HeadFiles, registries: Registries, log: Log): Promise<void> {
  for (const id of await heads.registries()) {
    if (registries.ids.includes(id)) continue
    const { alias } = await registries.add(id, { alias: undefined, isDefault: false })
    log.error({ registry: id, alias }, 'the store lost the record of a registry: it is followed again')
  }
}
