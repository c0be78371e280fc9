import { createHash } from 'node:crypto'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { admitKey } from '../../attestation/keys.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { signStatement } from '../../attestation/verify-envelope.ts'
import { memberSigner } from '../../node/identity.ts'
import type { KeySigner } from '../../node/identity.ts'
import { silentLog } from '../../node/runtime/log.ts'
import { Author } from '../../node/services/author.ts'
import type { InviteComponents } from '../../node/services/swarm/invite.ts'
import { MembersOfSwarm } from '../../node/services/swarm/members.ts'
import type { MembersComponents } from '../../node/services/swarm/members.ts'
import type { RosterRow, SwarmRecord, SwarmStore } from '../../node/services/swarm/swarm-store.ts'
import type { Membership } from '../../node/p2p/membership.ts'
import { publicKeyOf } from '../../protocol/did.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import type { Made, Person } from './facts.ts'
import { openGate } from './gate.ts'
import type { TestGate } from './gate.ts'
import { testClock } from './test-clock.ts'
import type { TestClock } from './test-clock.ts'

const hosts = new Map<string, string>()

/** A peer id, the same in every run. */
export async function hostOf(name: string): Promise<string> {
  const known = hosts.get(name)
  if (known !== undefined) return known
  const key = await generateKeyPairFromSeed('Ed25519', createHash('sha256').update(`host ${name}`).digest())
  const peer = peerIdFromPrivateKey(key).toString()
  hosts.set(name, peer)
  return peer
}

/** What a swarm keeps between runs, in memory. */
export class MemorySwarmStore implements SwarmStore {
  record: SwarmRecord
  readonly rows = new Map<string, RosterRow>()
  /** What was made durable, in order. */
  readonly written: string[] = []

  constructor(record: Partial<SwarmRecord> = {}) {
    const secrets = { secret: new Uint8Array(32).fill(7), epoch: 0, psk: false, previous: null, record: null }
    this.record = { secrets, certificate: null, vouched: [], ...record }
  }

  read(): Promise<SwarmRecord> {
    return Promise.resolve(this.record)
  }

  putSecrets(secrets: SwarmRecord['secrets']): Promise<void> {
    return this.#put('secrets', { secrets })
  }

  putCertificate(certificate: SwarmRecord['certificate']): Promise<void> {
    return this.#put('certificate', { certificate })
  }

  putVouched(vouched: SwarmRecord['vouched']): Promise<void> {
    return this.#put('vouched', { vouched })
  }

  roster(): Promise<readonly RosterRow[]> {
    return Promise.resolve([...this.rows.values()])
  }

  putRoster(rows: readonly RosterRow[]): Promise<void> {
    for (const row of rows) this.rows.set(row.peer, row)
    this.written.push('roster')
    return Promise.resolve()
  }

  deleteRoster(peers: readonly string[]): Promise<void> {
    for (const peer of peers) this.rows.delete(peer)
    return Promise.resolve()
  }

  #put(what: string, part: Partial<SwarmRecord>): Promise<void> {
    this.record = { ...this.record, ...part }
    this.written.push(what)
    return Promise.resolve()
  }
}

export interface SeatInit {
  readonly registry: RegistryId
  readonly clock?: TestClock
  readonly store?: MemorySwarmStore
  /** The name of its host; that of the person without it. */
  readonly host?: string
  readonly components?: Partial<MembersComponents>
  /** What stands between what hosts show and the gate. */
  readonly guard?: (gate: TestGate['gate']) => Pick<TestGate['gate'], 'admitMany'>
}

/** Somebody's host in a private swarm: a real gate, real keys, and no network. */
export interface Seat extends TestGate {
  readonly peer: string
  readonly members: MembersOfSwarm & Membership
  readonly swarmStore: MemorySwarmStore
  readonly clock: TestClock
  readonly signer: KeySigner
  /** All that the commands use. */
  readonly commands: InviteComponents & { readonly members: MembersOfSwarm; readonly connected: () => Iterable<string> }
  /** Hosts that are connected: tests put them in. */
  readonly connected: Set<string>
  /** Takes facts in, and looks at everything again. */
  take(made: readonly Pick<Made, 'bytes'>[]): Promise<void>
  /** All that is known here, to be taken elsewhere. */
  facts(): Promise<readonly Pick<Made, 'bytes'>[]>
}

let seats = 0

export async function seatOf(who: Person, init: SeatInit): Promise<Seat> {
  const { registry, clock = testClock(), store = new MemorySwarmStore(), components, guard = gate => gate } = init
  const peer = await hostOf(init.host ?? who.did)
  const test = await openGate(registry, memoryKeyValue())
  const { gate } = test
  const connected = new Set<string>()
  const signer: KeySigner = {
    ...memberSigner(who.secret),
    sign: body => signFact(body, who.secret),
    signStatement: payload => signStatement(payload, who.secret),
    chain: () => who.chain,
    renewChain: () => Promise.reject(new Error('a new chain was asked for'))
  }
  const envelope = (id: Parameters<MembersComponents['envelope']>[0]) => test.store.get(registry, id)
  const members = await MembersOfSwarm.open({
    registry,
    peer,
    signer,
    gate: { state: of => gate.state(of), admitMany: (facts, source) => guard(gate).admitMany(facts, source) },
    store,
    envelope,
    announce: () => {},
    comparedAt: () => undefined,
    isConfigured: () => false,
    connected: () => connected,
    clock,
    log: silentLog(),
    ...components
  })
  const now = (): number => clock.now()
  return {
    ...test,
    peer,
    members,
    swarmStore: store,
    clock,
    signer,
    connected,
    commands: {
      gate,
      author: new Author({ gate, signer, now }),
      signer: () => Promise.resolve(signer),
      announce: () => {},
      now,
      factsBy: async (of, by) => {
        const subjects = await test.store.subjectsOf(of, by)
        const known = await Promise.all(subjects.map(async subject => gate.state(of)?.known(subject)))
        return known.flatMap(all => [...(all?.set ?? []), ...(all?.cut ?? [])]).filter(({ body }) => body.author === by)
      },
      packagesOf: async function* () {},
      admitKey: key => admitKey(publicKeyOf(key)),
      random: bytes =>
        new Uint8Array(
          createHash('shake256', { outputLength: bytes })
            .update(`${(seats += 1)}`)
            .digest()
        ),
      secrets: () => members.keys.current,
      addresses: () => [`/ip4/127.0.0.1/tcp/4917/p2p/${peer}`, `/ip4/10.0.0.5/tcp/4917/p2p/${peer}`],
      members,
      connected: () => connected
    },
    take: async made => {
      await gate.admitMany(
        made.map(({ bytes }) => bytes),
        { peer: 'somebody', registry }
      )
      await members.recheck()
    },
    facts: async () => {
      const ids = (await gate.state(registry)?.factsOf('registry')) ?? []
      const found = await Promise.all(ids.map(({ id }) => envelope(id)))
      return found.flatMap(bytes => (bytes === undefined ? [] : [{ bytes }]))
    }
  }
}

/** All that one knows, taken in by the other. */
export async function share(from: Seat, to: Seat): Promise<void> {
  await to.take(await from.facts())
}

/**
 * Two hosts introduce themselves, the first one first: what the second makes of the first, then what the first makes of the
 * second, who says nothing to whom it does not accept.
 */
export async function meet(dialler: Seat, listener: Seat): Promise<readonly [string, string]> {
  const { signal } = new AbortController()
  const there = await listener.members.judge(dialler.peer, await dialler.members.proof(), signal)
  if (!there.accepted) return [there.reason, 'unjudged']
  const here = await dialler.members.judge(listener.peer, await listener.members.proof(), signal)
  if (!here.accepted) return ['accepted', here.reason]
  dialler.connected.add(listener.peer)
  listener.connected.add(dialler.peer)
  return ['accepted', 'accepted']
}
