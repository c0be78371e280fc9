import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { digestOf } from '../../protocol/cid.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { encodeSyncMessage } from '../../protocol/sync/messages.ts'
import type { SyncMessage } from '../../protocol/sync/messages.ts'
import { initialSyncState } from '../../protocol/sync/state.ts'
import type { SyncEffect, SyncEvent, SyncState, SyncTuning, SyncVerdict } from '../../protocol/sync/state.ts'
import { step } from '../../protocol/sync/step.ts'

type Told = SyncEvent extends infer E ? (E extends SyncEvent ? Omit<E, 'now'> : never) : never

/** One side of reconciliation over a Map: the pure step, and effects carried out at once. */
export class SyncNode {
  readonly name: string
  readonly facts = new Map<RegistryId, Map<FactId, Envelope>>()
  readonly sets = new Map<RegistryId, ItemSet>()
  readonly effects: SyncEffect[] = []
  /** What a test does to verdicts and to what is given away. */
  judge: (envelope: Envelope) => SyncVerdict = () => ({ verdict: 'accept' })
  withholds: (id: FactId) => boolean = () => false
  /** Takes an effect away from the node; true when it did. */
  intercept: (effect: SyncEffect) => boolean = () => false
  state: SyncState
  readonly #net: SyncNet

  constructor(net: SyncNet, name: string, tuning: Partial<SyncTuning>) {
    this.#net = net
    this.name = name
    this.state = initialSyncState(name, { now: net.now, tuning })
  }

  follow(registry: RegistryId, envelopes: readonly Envelope[] = []): void {
    this.facts.set(registry, new Map(envelopes.map(each => [each.id, each])))
    this.sets.set(registry, ItemSet.fromUnsorted(envelopes.map(itemOf)))
    this.tell({ type: 'followed', registry })
  }

  add(registry: RegistryId, envelope: Envelope): boolean {
    this.facts.get(registry)?.set(envelope.id, envelope)
    return this.sets.get(registry)?.insert(itemOf(envelope)) ?? false
  }

  tell(event: Told): void {
    const { state, effects } = step(this.state, { ...event, now: this.#net.now }, id => this.sets.get(id))
    this.state = state
    for (const effect of effects) {
      this.effects.push(effect)
      if (!this.intercept(effect)) this.#net.later(() => this.#carryOut(effect))
    }
  }

  #carryOut(effect: SyncEffect): void {
    switch (effect.type) {
      case 'send':
        return this.#net.send(this.name, effect.peer, effect.message)
      case 'sift': {
        const known = this.facts.get(effect.registry)
        return this.tell({ ...effect, type: 'sifted', ids: effect.ids.filter(id => known?.has(id) !== true) })
      }
      case 'load':
        return this.tell({ ...effect, type: 'loaded', ...this.#page(effect.registry, effect.ids) })
      case 'admit': {
        const verdicts = effect.facts.map(fact => this.#admit(effect.registry, fact))
        return this.tell({ ...effect, type: 'admitted', verdicts })
      }
      case 'snapshot':
        return this.tell({ ...effect, type: 'snapshotted' })
      case 'close':
        if (effect.side === 'own') this.#net.nodes.get(effect.peer)?.tell({ type: 'restarted', peer: this.name })
        else this.#net.nodes.get(effect.peer)?.tell({ type: 'broken', peer: this.name })
        return
      case 'stop-snapshot':
      case 'blame':
      case 'reconciled':
        return
    }
  }

  #admit(registry: RegistryId, fact: Uint8Array): SyncVerdict {
    const envelope = parseEnvelope(fact)
    if (this.facts.get(registry)?.has(envelope.id) === true) return { verdict: 'ignore', reason: 'seen' }
    const verdict = this.judge(envelope)
    if (verdict.verdict === 'accept') this.add(registry, envelope)
    return verdict
  }

  #page(registry: RegistryId, ids: readonly FactId[]): { facts: readonly Uint8Array[]; reached: number } {
    const facts: Uint8Array[] = []
    let room: number = LIMITS.sync.pageBytes - LIMITS.sync.overheadBytes
    for (const [reached, id] of ids.entries()) {
      const envelope = this.withholds(id) ? undefined : this.facts.get(registry)?.get(id)
      if (envelope === undefined) continue
      if (envelope.bytes.length > room) return { facts, reached }
      room -= envelope.bytes.length
      facts.push(envelope.bytes)
    }
    return { facts, reached: ids.length }
  }
}

/** Nodes that hear each other at once, in order, and a clock that is moved. */
export class SyncNet {
  now = 1_000
  readonly nodes = new Map<string, SyncNode>()
  readonly sent: {
    readonly from: string
    readonly to: string
    readonly message: SyncMessage
    readonly bytes: number
  }[] = []
  readonly #tasks: (() => void)[] = []

  node(name: string, tuning: Partial<SyncTuning> = {}): SyncNode {
    const node = new SyncNode(this, name, tuning)
    this.nodes.set(name, node)
    return node
  }

  /** `a` dialled. */
  connect(a: SyncNode, b: SyncNode): void {
    b.tell({ type: 'came', peer: a.name, dialled: false })
    a.tell({ type: 'came', peer: b.name, dialled: true })
  }

  send(from: string, to: string, message: SyncMessage): void {
    this.sent.push({ from, to, message, bytes: encodeSyncMessage(message).length })
    this.nodes.get(to)?.tell({ type: 'message', peer: from, message })
  }

  later(task: () => void): void {
    this.#tasks.push(task)
  }

  /** Until nobody has anything to do. */
  settle(): void {
    for (let count = 0; ; count++) {
      if (count > 1_000_000) throw new Error('it does not settle')
      const task = this.#tasks.shift()
      if (task === undefined) return
      task()
    }
  }

  pass(ms: number): void {
    this.now += ms
    for (const node of this.nodes.values()) node.tell({ type: 'due' })
    this.settle()
  }
}

function itemOf({ id, body }: Envelope): { readonly time: number; readonly id: Uint8Array } {
  return { time: body.time, id: digestOf(id) }
}
