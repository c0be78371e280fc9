import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { FactStore, Loss } from '../storage/fact-store.ts'
import { isFolded } from './row-check.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'

export interface ScrubComponents {
  readonly facts: FactStore
  readonly gate: Pick<Gate, 'open' | 'repair' | 'state' | 'registries'>
  readonly clock: Pick<Clock, 'now' | 'sleep'>
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Positions of ours may be among what is gone, and peers have to be asked for it again. */
  readonly onLoss: (registry: RegistryId, loss: Loss) => Promise<void>
}

/** What one look at a registry came to. */
export type Scrubbed = 'sound' | 'folded' | 'repaired'

/**
 * Finds what a start does not: bits that flipped in envelopes, rows and the indexes that lead to them. Reads every fact
 * and folds every row in the background, a little at a time.
 *
 * Invariants:
 * 1. Damage is a loss: what is damaged leaves the set, so that it is fetched again, and the loss is told.
 * 2. One repair at a time; damage that is met meanwhile was seen by it, or will be met again.
 */
export class Scrub {
  readonly #components: ScrubComponents
  #repairing: Promise<void> | undefined

  constructor(components: ScrubComponents) {
    this.#components = components
  }

  /** Makes store and gate ready for a registry, whatever state the disk left it in. */
  async open(registry: RegistryId): Promise<void> {
    const { facts, gate, onLoss } = this.#components
    const loss = await facts.open(registry)
    if (loss !== undefined) await onLoss(registry, loss)
    try {
      await gate.open(registry, { refold: loss !== undefined })
    } catch (error) {
      if (!isCorrupt(error)) throw error
      // The counts were right, and one of the facts that every start reads is not itself any more.
      const found = await facts.repair(registry)
      if (found !== undefined) await onLoss(registry, found)
      await gate.open(registry, { refold: true })
    }
  }

  /** A read met damage. Whoever read was told so; this makes that the next one need not be. */
  met(registry: RegistryId, error: unknown): void {
    if (this.#repairing !== undefined) return
    const { log } = this.#components
    log.error({ registry, reason: messageOf(error) }, 'the store is damaged: it is repaired now')
    this.repair(registry).catch((failure: unknown) => {
      log.error({ registry, error: failure }, 'the store could not be repaired')
    })
  }

  /** Takes out what is damaged, and reads and folds the registry again. */
  repair(registry: RegistryId): Promise<void> {
    this.#repairing ??= this.#repair(registry).finally(() => {
      this.#repairing = undefined
    })
    return this.#repairing
  }

  /** Looks at all registries once. Ends early when the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { gate, log } = this.#components
    for (const registry of gate.registries) {
      try {
        const result = await this.look(registry, signal)
        if (result !== 'sound') log.warn({ registry, result }, 'the store was damaged')
      } catch (error) {
        if (signal.aborted) return
        log.error({ registry, error }, 'the store could not be looked through')
      }
    }
  }

  /** Reads all of one registry, and repairs it when anything is wrong. */
  async look(registry: RegistryId, signal: AbortSignal): Promise<Scrubbed> {
    const { facts } = this.#components
    const pace = this.#pace(signal)
    try {
      const audit = await facts.audit(registry)
      if (audit !== undefined && !audit.isAgreed) return await this.#repaired(registry)
      // A row whose key changed belongs to no subject, and whoever walks over all rows meets it.
      for await (const _ of facts.rows(registry)) await pace()
      for await (const subject of facts.subjects(registry)) {
        await pace()
        if (await this.#hasFaults(registry, subject)) return await this.#repaired(registry)
        if (await isFolded(this.#components, registry, subject)) continue
        if (await facts.isStale(registry)) continue
        await this.#components.gate.repair(registry, async () => undefined)
        return 'folded'
      }
      return 'sound'
    } catch (error) {
      if (!isCorrupt(error)) throw error
      return await this.#repaired(registry)
    }
  }

  async #repaired(registry: RegistryId): Promise<Scrubbed> {
    await this.repair(registry)
    return 'repaired'
  }

  /** Facts may change sides while they are read, so a fault is looked at again. */
  async #hasFaults(registry: RegistryId, subject: Parameters<FactStore['faultsOf']>[1]): Promise<boolean> {
    for (let attempt = 0; attempt < LIMITS.doctor.attempts; attempt++) {
      if ((await this.#components.facts.faultsOf(registry, subject)).length === 0) return false
    }
    return true
  }

  /** The store moves to new files, which leaves out what is damaged in other registries too: all are counted again. */
  async #repair(damaged: RegistryId): Promise<void> {
    const { facts, gate, onLoss } = this.#components
    for (const registry of [damaged, ...gate.registries.filter(id => id !== damaged)]) {
      await gate.repair(registry, async () => {
        const loss = registry === damaged ? await facts.repair(registry) : await facts.open(registry)
        if (loss !== undefined) await onLoss(registry, loss)
      })
    }
  }

  /** Rests after each stretch of work. */
  #pace(signal: AbortSignal): () => Promise<void> {
    const { clock } = this.#components
    let began = clock.now()
    return async () => {
      signal.throwIfAborted()
      if (Math.abs(clock.now() - began) < LIMITS.scrub.workMs) return
      await clock.sleep(LIMITS.scrub.restMs, signal)
      began = clock.now()
    }
  }
}

function isCorrupt(error: unknown): boolean {
  return isRegistryError(error) && error.code === 'STORE_CORRUPT'
}
