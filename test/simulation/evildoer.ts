import type { FactId } from '../../protocol/cid.ts'
import { factIdOf } from '../../protocol/cid.ts'
import { encodeBody, encodeEnvelope, parseEnvelope } from '../../protocol/fact.ts'
import type { Metadata } from '../../protocol/document/payload.ts'
import type { FactBody, Subject } from '../../protocol/fact.ts'
import { encodePayload } from '../../protocol/payload.ts'
import type { Payload } from '../../protocol/payload.ts'
import { parseScope } from '../../protocol/role.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { make, subject } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import type { Home } from './home.ts'
import type { StorePart } from './parts.ts'
import { person } from './people.ts'
import { releaseOf } from './release.ts'
import { Rng } from './rng.ts'
import { EPOCH_MS } from './schedule.ts'
import { LIES, scribble } from './scribbles.ts'
import { SimNode } from './sim-node.ts'
import type { World } from './sim-node.ts'
import type { Evil } from './weather.ts'

const HOUR_MS = 3_600_000

interface Said {
  readonly payload: Payload
  readonly about: Subject
  readonly seq: number
  readonly prev: FactId | null
  /** How long ago, by its own word. */
  readonly ago?: number
}

/**
 * One who keeps no rule. It runs a node like the others, so that its lies come in a form that is believed for a while.
 *
 *   liar        names ids that do not exist, keeps what it has, sends other facts than those that were asked for
 *   garbler     breaks messages and facts
 *   forker      signs two bodies for one position and tells each to one half
 *   stranger    signs facts that nobody let it sign
 *   replayer    sends what it has heard, again and again, to anybody
 *   backdater   goes on as if it had said everything before its roles were revoked
 *   orphans     floods with facts whose author and predecessor nobody knows
 *   scribbler   edits words with changes that lie, twice at one position, after what never comes, or without a role
 */
export class Evildoer extends SimNode {
  /** Nobody looks at its documents, which would cost as much as those of others. */
  override readonly keepsDocuments = false
  readonly kind: Evil
  readonly #evil: Rng
  readonly #heads = new Map<string, { readonly seq: number; readonly id: FactId }>()

  constructor(home: Home, world: World, kind: Evil) {
    super(home, world)
    this.kind = kind
    this.#evil = home.rng.split('evil')
  }

  async act(): Promise<void> {
    if (!this.isUp()) return
    this.note(`acts as ${this.kind}`)
    switch (this.kind) {
      case 'liar':
        return
      case 'garbler':
        return this.#garble()
      case 'forker':
        return this.#fork()
      case 'stranger':
        return this.#stray()
      case 'replayer':
        return this.#replay()
      case 'backdater':
        return this.#backdate()
      case 'orphans':
        return this.#flood()
      case 'scribbler':
        return this.#scribble()
    }
  }

  protected override shownSet(store: StorePart): ItemSet {
    const set = super.shownSet(store)
    if (this.kind !== 'liar') return set
    const items = set.items(0, set.size)
    const made = Array.from({ length: 5 }, (_, index) => new Rng(`${this.name} ${index}`).bytes(32))
    return ItemSet.fromUnsorted([...items, ...made.map((id, index) => ({ time: EPOCH_MS + index * 1_000, id }))])
  }

  protected override shownBytes(bytes: Uint8Array): Uint8Array {
    return this.kind === 'garbler' && this.#evil.chance(0.3) ? this.#broken(bytes) : bytes
  }

  protected override async load(
    store: StorePart,
    ids: readonly FactId[]
  ): Promise<{ readonly facts: readonly Uint8Array[]; readonly reached: number }> {
    const honest = await super.load(store, ids)
    if (this.kind !== 'liar') return honest
    const lie = this.#evil.int(3)
    if (lie === 0) return { ...honest, facts: [] }
    return lie === 1 ? { ...honest, facts: (await this.snapshot()).slice(0, 2) } : honest
  }

  override async snapshot(): Promise<readonly Uint8Array[]> {
    const all = await super.snapshot()
    if (this.kind === 'liar') return all.filter(() => this.#evil.chance(0.5))
    return this.kind === 'garbler' ? all.map(bytes => (this.#evil.chance(0.2) ? this.#broken(bytes) : bytes)) : all
  }

  async #garble(): Promise<void> {
    const known = await super.snapshot()
    const bytes = this.#evil.pick(known)
    this.#tellSome(bytes === undefined || this.#evil.chance(0.3) ? this.#evil.bytes(200) : this.#broken(bytes))
  }

  async #fork(): Promise<void> {
    const payloads = [await this.#statement(0), await this.#statement(1)]
    const about = payloads[0]?.about
    const [one, other] = payloads
    if (one === undefined || other === undefined || about !== other.about) return
    const at = this.#position(about)
    const [left, right] = [one, other].map(({ payload }) => this.#sign(this.home.person, { ...at, payload, about }))
    if (left === undefined || right === undefined) return
    const next = this.#evil.chance(0.5) ? left : right
    this.#heads.set(about, { seq: at.seq, id: next.id })
    for (const [index, peer] of this.world.network.peersOf(this.name).entries())
      this.world.network.gossip(this.name, peer, (index % 2 === 0 ? left : right).bytes)
    await this.attempt('forks', async ({ gate }) => void (await gate.admit(next.bytes, { peer: this.name })))
  }

  async #stray(): Promise<void> {
    const stranger = person(`stranger ${this.name} ${this.#evil.int(3)}`)
    const { payload, about } = await this.#statement(this.#evil.int(9), stranger)
    this.#tellSome(this.#sign(stranger, { seq: 0, prev: null, payload, about }).bytes)
  }

  async #replay(): Promise<void> {
    const known = await super.snapshot()
    for (let times = 0; times < 5; times++) {
      const bytes = this.#evil.pick(known)
      if (bytes !== undefined) this.#tellSome(bytes)
    }
  }

  async #backdate(): Promise<void> {
    const { payload, about } = await this.#statement(this.#evil.int(9))
    const at = this.#position(about)
    const made = this.#sign(this.home.person, { ...at, payload, about, ago: HOUR_MS })
    this.#heads.set(about, { seq: at.seq, id: made.id })
    this.#tellSome(made.bytes)
    await this.attempt('backdates', async ({ gate }) => void (await gate.admit(made.bytes, { peer: this.name })))
  }

  async #flood(): Promise<void> {
    const stranger = person(`orphan ${this.name}`)
    const { payload, about } = await this.#statement(0, stranger)
    // Nobody checks a signature before the author is named, so a flood does without.
    const signature = this.#evil.bytes(64)
    for (let seq = 1; seq <= 60; seq++) {
      const prev = factIdOf(this.#evil.bytes(32))
      const bytes = encodeEnvelope(encodeBody(this.#body(stranger, { seq, prev, payload, about })), signature)
      for (const peer of this.world.network.peersOf(this.name)) this.world.network.gossip(this.name, peer, bytes)
    }
  }

  async #scribble(): Promise<void> {
    const [first, ...others] = await this.#scribbles()
    if (first === undefined) return
    const about = first.subject
    const payloads = [first, ...others].map(({ value }) => ({ type: 'metadata', value }) as const)
    if (first.by !== this.home.person) {
      for (const payload of payloads) this.#tellSome(this.#sign(first.by, { seq: 0, prev: null, payload, about }).bytes)
      return
    }
    const at = this.#position(about)
    const made = payloads.map(payload => this.#sign(first.by, { ...at, payload, about }))
    const next = this.#evil.pick(made)
    if (next === undefined) return
    this.#heads.set(about, { seq: at.seq, id: next.id })
    for (const [index, peer] of this.world.network.peersOf(this.name).entries())
      this.world.network.gossip(this.name, peer, (made[index % made.length] ?? next).bytes)
    await this.attempt('scribbles', async ({ gate }) => void (await gate.admit(next.bytes, { peer: this.name })))
  }

  /** One scribble, or two for one position. */
  async #scribbles(): Promise<readonly { value: Metadata; subject: Said['about']; by: Person }[]> {
    const { registry } = this.world
    const by = this.#evil.chance(0.15) ? person(`scribbler ${this.name}`) : this.home.person
    const claim = (await this.running?.view.find(registry, subject('p0')))?.claim
    const head = this.running?.gate.state(registry)?.authority?.head ?? (registry as string as FactId)
    const about = claim && this.#evil.chance(0.7) ? subject('p0') : 'registry'
    const authority = { registry: head, package: about === 'registry' ? head : (claim?.head ?? head) }
    const scribbler = { node: this, rng: this.#evil, by, chain: this.home.chain, subject: about, authority } as const
    const lies = [this.#evil.pick(LIES) ?? 'honest', ...(this.#evil.chance(0.2) ? (['honest'] as const) : [])]
    const values: Metadata[] = []
    await this.attempt('thinks of words', async () => {
      for (const lie of lies) {
        const value = await scribble(scribbler, lie)
        if (value !== undefined) values.push(value)
      }
    })
    return values.map(value => ({ value, subject: about, by }))
  }

  /** Something that somebody with a role might say, in one of many variants; `author` may be nobody. */
  async #statement(variant: number, by: Person = this.home.person): Promise<{ payload: Payload; about: Subject }> {
    const { registry } = this.world
    const authority = this.running?.gate.state(registry)?.authority
    const genesis = registry as string as FactId
    const head =
      (this.kind === 'backdater' ? this.#evil.pick([...(authority?.order.keys() ?? [])]) : authority?.head) ?? genesis
    const claim = (await this.running?.view.find(registry, subject('p0')))?.claim?.fact
    if (claim !== undefined && this.#evil.chance(0.5)) {
      const version = `9.0.${variant % 3}`
      const value = releaseOf('p0', version, `by ${this.name} ${variant}`, { registry: head, package: claim })
      return { about: subject('p0'), payload: { type: 'release', value } }
    }
    const key = person(`friend ${this.name} ${variant % 3}`).did
    const shared = { authPrev: head, head: null, key, scope: parseScope('*') }
    if (variant % 3 !== 2) {
      const value = { ...shared, role: 'publisher', expires: null, threshold: null } as const
      return { about: 'registry', payload: { type: 'grant', value } }
    }
    const value = { ...shared, key: by.did, role: 'owner', expires: null, threshold: null } as const
    return { about: 'registry', payload: { type: 'grant', value } }
  }

  #position(about: Subject): { readonly seq: number; readonly prev: FactId | null } {
    const head = this.#heads.get(about)
    return head === undefined ? { seq: 0, prev: null } : { seq: head.seq + 1, prev: head.id }
  }

  #sign(by: Person, said: Said): { readonly id: FactId; readonly bytes: Uint8Array } {
    const { bytes } = make(this.#body(by, said), by)
    return { id: parseEnvelope(bytes).id, bytes }
  }

  #body(by: Person, { payload, about, seq, prev, ago = 0 }: Said): FactBody {
    const time = EPOCH_MS + this.now() + HOUR_MS - ago
    return {
      v: 1,
      type: payload.type,
      registry: this.world.registry,
      subject: about,
      author: by.did,
      chain: this.home.chain,
      seq,
      prev,
      time,
      payload: encodePayload(payload)
    }
  }

  #tellSome(bytes: Uint8Array): void {
    const { network } = this.world
    for (const peer of network.peersOf(this.name)) if (this.#evil.chance(0.6)) network.gossip(this.name, peer, bytes)
  }

  #broken(bytes: Uint8Array): Uint8Array {
    const broken = Uint8Array.from(bytes)
    const at = this.#evil.int(broken.length)
    broken[at] = (broken[at] ?? 0) ^ (1 << this.#evil.int(8))
    return this.#evil.chance(0.2) ? broken.slice(0, at) : broken
  }
}
