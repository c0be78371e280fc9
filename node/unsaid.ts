import { contentOf } from '../protocol/attest/fold.ts'
import type { ContentId } from '../protocol/cid.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Naming, UnsaidRecords, UnsaidRoot } from '../storage/unsaid-records.ts'
import { verified } from './services/registry-state.ts'
import type { Space } from './spaces.ts'

export interface UnsaidInit {
  readonly unsaidRecords: UnsaidRecords
  readonly facts: Pick<FactStore, 'factsOf' | 'cutFactsOf'>
}

/** A content that is here before the fact that names it. One of the two is called, once. */
export interface Unsaid {
  /** The fact is written. */
  said(): Promise<void>
  /** It may not be: unless it is, the content is pinned no longer, and goes with the next collection. */
  failed(): Promise<void>
}

/**
 * What is published is stored, and pinned, before it is signed. When the signing fails, or the process ends in between, nothing
 * but this knows that nobody will ever name it.
 *
 * A failure unpins at once and deletes nothing: whose else a block is, a cut download's for one, only a collection can tell.
 *
 * Invariants:
 * 1. A content is noted here before it is pinned, and forgotten here only after a fact named it or it was given back.
 * 2. What a fact names for which it was brought stays pinned, whatever whoever wrote it was told. That other facts name it pins
 *    it no more than if it had never been brought: then it stays where a policy pins it or somebody uses it.
 * 3. Two who bring the same content: it is given back when both have failed.
 */
export class UnsaidContents {
  readonly #init: UnsaidInit
  readonly #open = new Map<string, number>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(init: UnsaidInit) {
    this.#init = init
  }

  /** Pins a content for a fact that is to be written next. All blocks below it are here and durable. */
  async keep(space: Space, root: ContentId, naming: Naming): Promise<Unsaid> {
    const { unsaidRecords } = this.#init
    const key = `${space.name} ${root}`
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1)
    let isOpen = true
    const close = (): void => {
      const left = (this.#open.get(key) ?? 1) - (isOpen ? 1 : 0)
      isOpen = false
      if (left > 0) this.#open.set(key, left)
      else this.#open.delete(key)
    }
    try {
      await this.#inTurn(() => this.#note(space, root, naming))
      await space.markKept(root, { pinned: true })
    } catch (error) {
      close()
      throw error
    }
    return {
      said: async () => {
        close()
        await this.#inTurn(() => unsaidRecords.delete(space.name, root))
      },
      failed: async () => {
        close()
        await this.#inTurn(async () => {
          const noted = await unsaidRecords.get(space.name, root)
          if (noted !== undefined) await this.#unpin(space, noted)
        })
      }
    }
  }

  /** Unpins what a process that ended had brought for facts which it did not write. */
  async unpinLeft(space: Space): Promise<void> {
    await this.#inTurn(async () => {
      for await (const noted of this.#init.unsaidRecords.all(space.name)) await this.#unpin(space, noted)
    })
  }

  /** Gives back what nobody named. `letGo`: the contents go, except for what is pinned or used all the same. */
  giveBack(space: Space, letGo: (roots: readonly ContentId[]) => Promise<void>): Promise<void> {
    const { unsaidRecords } = this.#init
    return this.#inTurn(async () => {
      const gone: UnsaidRoot[] = []
      for await (const found of unsaidRecords.all(space.name)) {
        if (this.#open.has(`${space.name} ${found.root}`)) continue
        if (await this.#isNamed(found)) await unsaidRecords.delete(space.name, found.root)
        else gone.push(found)
      }
      for (const { root } of gone) await space.unpinKept(root)
      const free = gone.flatMap(({ root, wasKept }) => (wasKept ? [] : [root]))
      if (free.length > 0) await letGo(free)
      for (const { root } of gone) await unsaidRecords.delete(space.name, root)
    })
  }

  /** The note stays for the next collection, unless it was here for other reasons. */
  async #unpin(space: Space, noted: UnsaidRoot): Promise<void> {
    const { root, wasKept } = noted
    if (this.#open.has(`${space.name} ${root}`)) return
    const { isPinned } = await stateOf(space, root)
    const isNamed = isPinned && (await this.#isNamed(noted))
    if (isPinned && !isNamed) await space.unpinKept(root)
    if (isNamed || wasKept) await this.#init.unsaidRecords.delete(space.name, root)
  }

  /** Whether anything was left by somebody who failed, or by a process that ended. */
  async isAny(space: Space): Promise<boolean> {
    for await (const { root } of this.#init.unsaidRecords.all(space.name)) {
      if (!this.#open.has(`${space.name} ${root}`)) return true
    }
    return false
  }

  async #note(space: Space, root: ContentId, naming: Naming): Promise<void> {
    const { unsaidRecords } = this.#init
    const known = await unsaidRecords.get(space.name, root)
    if (known === undefined) {
      const { isKept, isPinned } = await stateOf(space, root)
      if (!isPinned) await unsaidRecords.put(space.name, { root, wasKept: isKept, by: [naming] })
      return
    }
    const by = [...known.by.filter(each => !isSame(each, naming)), naming]
    // Of so many who failed nobody looks whether they did: it stays.
    if (by.length > LIMITS.store.unsaidBy) await unsaidRecords.delete(space.name, root)
    else await unsaidRecords.put(space.name, { ...known, by })
  }

  async #isNamed({ root, by }: UnsaidRoot): Promise<boolean> {
    const { facts } = this.#init
    for (const { registry, subject } of by) {
      const all = [...(await facts.factsOf(registry, subject)), ...(await facts.cutFactsOf(registry, subject))]
      if (all.some(([, bytes]) => namedIn(bytes) === root)) return true
    }
    return false
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task, task)
    this.#last = run.catch(() => undefined)
    return run
  }
}

/** The content that a fact of ours names. */
function namedIn(bytes: Uint8Array): ContentId | undefined {
  const { payload } = verified(parseEnvelope(bytes))
  if (payload.type === 'release') return payload.value.root
  return payload.type === 'attestation' ? contentOf(payload.value)?.cid : undefined
}

async function stateOf(space: Space, root: ContentId): Promise<{ isKept: boolean; isPinned: boolean }> {
  const found = await space.keptEntry(root)
  return { isKept: found?.whole === true, isPinned: found?.pinned === true }
}

function isSame(one: Naming, other: Naming): boolean {
  return one.registry === other.registry && one.subject === other.subject
}
