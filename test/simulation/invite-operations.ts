import type { Principal } from '../../protocol/did.ts'
import { freeUse } from '../../protocol/membership/members.ts'
import { INVITED_ROLES } from '../../protocol/payload-invite.ts'
import { encodePayload } from '../../protocol/payload.ts'
import { headsOf } from '../../protocol/heads.ts'
import { WHOLE } from '../../protocol/role.ts'
import { make } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { person } from './people.ts'
import type { Rng } from './rng.ts'
import type { SimNode, World } from './sim-node.ts'
import { readStock } from './stock.ts'

const DAY_MS = 86_400_000

/** What these operations draw from and add to. */
interface Lobby {
  readonly world: World
  readonly rng: Rng
  /** Keys that may be let in. */
  readonly keys: readonly Principal[]
  /** Keys of invites. */
  readonly doors: Person[]
  readonly count: number
}

/** Lets whoever has a new key, or one of an invite before, give a role away. */
export async function invite({ world, rng, doors, count }: Lobby, node: SimNode): Promise<void> {
  const authPrev = node.running?.gate.state(world.registry)?.authority?.head
  const role = rng.pick(INVITED_ROLES)
  if (authPrev === undefined || role === undefined) return
  const before = rng.chance(0.2) ? rng.pick(doors) : undefined
  const door = before ?? person(`invite ${count} ${rng.next()}`)
  if (before === undefined) doors.push(door)
  const expires = node.clock() + DAY_MS
  const value = { authPrev, head: null, key: door.did, role, scope: WHOLE, expires, uses: rng.between(1, 5) }
  await node.publish('registry', { type: 'invite', value })
}

/** Uses a place that is free as far as the node knows, or by mistake one that is not. */
export async function redeem({ world, rng, doors, keys }: Lobby, node: SimNode): Promise<void> {
  const { registry } = world
  await node.attempt('redeems an invite', async ({ gate }) => {
    const state = gate.state(registry)
    const invited = rng.pick(state?.authority?.invites ?? [])
    const by = doors.find(({ did }) => did === invited?.key)
    const key = rng.chance(0.3) ? person(`guest ${rng.int(4)}`).did : rng.pick(keys)
    if (state?.authority === undefined || invited === undefined || by === undefined || key === undefined) return
    const facts = await state.factsOf('registry')
    const used = rng.pick(facts.filter(({ body }) => body.author === by.did))?.body
    const free = freeUse(state.authority, facts, invited.fact, n => rng.int(n))
    const place = used !== undefined && rng.chance(0.15) ? used : free
    if (place === undefined) return
    const { chain, seq, prev } = place
    const payload = encodePayload({ type: 'redeem', value: { invite: invited.fact, key } })
    const header = { v: 1, type: 'redeem', registry, subject: 'registry', author: by.did } as const
    const fact = make({ ...header, chain, seq, prev, time: node.clock(), payload }, by)
    const { verdict } = await gate.admit(fact.bytes, { peer: 'self' })
    if (verdict !== 'accept') return
    world.observer.onSigned(node, fact)
    node.tellAll(fact.bytes)
  })
}

/** Ends an invite: with the uses that are known, some of them, or none recognised. */
export async function endInvite({ world, rng, doors }: Lobby, node: SimNode): Promise<void> {
  const { running } = node
  const authPrev = running?.gate.state(world.registry)?.authority?.head
  const door = rng.pick(doors)
  if (running === undefined || authPrev === undefined || door === undefined) return
  const { set } = await readStock(running.kv, world.registry)
  const uses = [...set.values()].map(({ body }) => body).filter(({ author }) => author === door.did)
  const heads = headsOf(rng.chance(0.5) ? uses : uses.filter(() => rng.chance(0.5)))
  const shared = { authPrev, head: null, key: door.did, role: null, scope: WHOLE } as const
  await node.publish('registry', { type: 'revoke', value: { ...shared, heads, threshold: null, reason: '' } })
}
