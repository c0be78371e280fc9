import type { FactId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { headsOf } from '../../protocol/heads.ts'
import { parseScope } from '../../protocol/role.ts'
import type { Role } from '../../protocol/role.ts'
import { parseSemver } from '../../protocol/version.ts'
import { subject } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { editWords, rollWords } from './edit-operations.ts'
import { endInvite, invite, redeem } from './invite-operations.ts'
import { person } from './people.ts'
import { releaseOf } from './release.ts'
import type { Rng } from './rng.ts'
import type { SimNode, World } from './sim-node.ts'
import { readStock } from './stock.ts'
import type { Operation } from './weather.ts'

/** What the operations of one run draw from and add to. */
export interface Desk {
  readonly world: World
  readonly rng: Rng
  /** Keys that may be granted something. */
  readonly keys: Principal[]
  /** Keys of invites. */
  readonly doors: Person[]
  /** A key that keeps the rules from now on. */
  readonly trust: (key: Principal) => void
  count: number
}

const ROLES: readonly Role[] = ['owner', 'maintainer', 'publisher', 'publisher', 'curator', 'member']

/** One thing that somebody does at a node, with what the node knows. It may well be refused, or not count. */
export async function operate(desk: Desk, node: SimNode, operation: Operation): Promise<void> {
  if (!node.isUp()) return
  desk.count += 1
  switch (operation) {
    case 'claim':
      return claim(desk, node)
    case 'release':
      return release(desk, node, `${desk.count}`)
    case 'conflict':
      return release(desk, node, 'same')
    case 'yank':
      return yank(desk, node)
    case 'unyank':
      return unyank(desk, node)
    case 'grant':
      return grant(desk, node)
    case 'revoke':
      return revoke(desk, node)
    case 'cosign':
      return cosign(desk, node)
    case 'resolve':
      return resolve(desk, node)
    case 'rotate':
      return rotate(desk, node)
    case 'edit':
      return edit(desk, node)
    case 'catalogue':
      return editWords(desk, node, 'registry')
    case 'invite':
      return invite(desk, node)
    case 'redeem':
      return redeem(desk, node)
    case 'endInvite':
      return endInvite(desk, node)
    case 'rollover':
      return rollWords(desk, node, desk.rng.chance(0.3) ? 'registry' : await claimedOne(desk, node))
  }
}

function nameOf({ rng, world }: Desk): string {
  return `p${rng.int(world.weather.packages)}`
}

function headAt({ world }: Desk, node: SimNode): FactId | undefined {
  return node.running?.gate.state(world.registry)?.authority?.head
}

async function viewAt({ world }: Desk, node: SimNode, name: string): Promise<PackageView | undefined> {
  return node.running?.view.find(world.registry, subject(name))
}

async function claim(desk: Desk, node: SimNode): Promise<void> {
  const authPrev = headAt(desk, node)
  if (authPrev === undefined) return
  const other = desk.rng.pick(desk.keys) ?? node.home.person.did
  const keys = [...new Set([node.home.person.did, ...(desk.rng.chance(0.5) ? [other] : [])])].toSorted()
  await node.publish(subject(nameOf(desk)), { type: 'claim', value: { authPrev, keys, threshold: 1 } })
}

async function release(desk: Desk, node: SimNode, content: string): Promise<void> {
  const name = nameOf(desk)
  const registry = headAt(desk, node)
  const claimed = (await viewAt(desk, node, name))?.claim?.fact
  if (registry === undefined || claimed === undefined) return claim(desk, node)
  const version = `1.${desk.rng.int(3)}.${desk.rng.int(4)}`
  const value = releaseOf(name, version, `${name} ${version} ${content}`, { registry, package: claimed })
  await node.publish(subject(name), { type: 'release', value })
}

/** More than a page, all at once. */
export async function releaseMany(desk: Desk, node: SimNode, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await release(desk, node, `bulk ${i}`)
}

/** What there is to be said about a package, when somebody has its name. */
async function edit(desk: Desk, node: SimNode): Promise<void> {
  const name = await claimedOne(desk, node)
  if (name === 'registry') return claim(desk, node)
  await editWords(desk, node, name)
}

async function claimedOne(desk: Desk, node: SimNode): Promise<Subject> {
  const name = nameOf(desk)
  return (await viewAt(desk, node, name))?.claim ? subject(name) : 'registry'
}

async function yank(desk: Desk, node: SimNode): Promise<void> {
  const name = nameOf(desk)
  const registry = headAt(desk, node)
  const view = await viewAt(desk, node, name)
  const entry = desk.rng.pick(view?.versions ?? [])
  if (registry === undefined || !view?.claim || entry === undefined) return
  const authority = { registry, package: view.claim.fact }
  await node.publish(subject(name), {
    type: 'yank',
    value: { version: parseSemver(entry.version), reason: 'broken', authority }
  })
}

async function unyank(desk: Desk, node: SimNode): Promise<void> {
  const name = nameOf(desk)
  const registry = headAt(desk, node)
  const view = await viewAt(desk, node, name)
  const entry = desk.rng.pick((view?.versions ?? []).filter(({ yanks }) => yanks.length > 0))
  if (registry === undefined || !view?.claim || entry === undefined) return
  const authority = { registry, package: view.claim.fact }
  const yanks = entry.yanks.map(({ fact }) => fact).toSorted()
  await node.publish(subject(name), { type: 'unyank', value: { version: entry.version, yanks, authority } })
}

async function grant(
  desk: Desk,
  node: SimNode,
  key = desk.rng.pick(desk.keys),
  role = desk.rng.pick(ROLES)
): Promise<void> {
  const authPrev = headAt(desk, node)
  if (authPrev === undefined || key === undefined || role === undefined) return
  const threshold = role === 'owner' && desk.rng.chance(0.2) ? desk.rng.between(1, 2) : null
  const value = { authPrev, head: null, key, role, scope: parseScope('*'), expires: null, threshold }
  await node.publish('registry', { type: 'grant', value })
}

export { grant as grantKey, revoke as revokeKey }

async function revoke(desk: Desk, node: SimNode, key = desk.rng.pick(desk.keys)): Promise<void> {
  const authPrev = headAt(desk, node)
  if (authPrev === undefined || key === undefined || node.running === undefined) return
  const { set } = await readStock(node.running.kv, desk.world.registry)
  const written = [...set.values()]
    .map(({ body }) => body)
    .filter(({ author, registry }) => author === key && registry !== null)
  // A routine rotation recognises all that it has seen; after a compromise it recognises less.
  const heads = headsOf(desk.rng.chance(0.6) ? written : written.filter(() => desk.rng.chance(0.5)))
  const role = desk.rng.chance(0.7) ? null : (desk.rng.pick(ROLES) ?? null)
  const value = { authPrev, head: null, key, role, scope: parseScope('*'), heads, threshold: null, reason: '' }
  await node.publish('registry', { type: 'revoke', value })
}

/** One more signer for the last changes that the node has seen. */
async function cosign(desk: Desk, node: SimNode): Promise<void> {
  const head = headAt(desk, node)
  if (head === undefined || node.running === undefined) return
  const authority = node.running.gate.state(desk.world.registry)?.authority
  const short = authority?.setAside.filter(({ reason }) => reason === 'threshold-not-met') ?? []
  const fact = desk.rng.pick(short)?.fact
  if (fact !== undefined) await node.publish('registry', { type: 'cosign', value: { fact, head } })
}

/** Settles a conflict of contents or a fork, of a package or of the registry. */
async function resolve(desk: Desk, node: SimNode): Promise<void> {
  const { world, rng } = desk
  const name = nameOf(desk)
  const head = headAt(desk, node)
  const view = await viewAt(desk, node, name)
  if (head === undefined) return
  const open = node.running?.gate.state(world.registry)?.authority?.forks.filter(({ settled }) => !settled) ?? []
  const fork = rng.pick(open)
  if (fork !== undefined) {
    const [keep, ...over] = rng.shuffle(fork.facts)
    if (keep === undefined || over.length === 0) return
    const value = { authPrev: head, head: null, keep, over: over.toSorted() }
    await node.publish('registry', { type: 'resolve', value })
    return
  }
  const disputed = [
    ...(view?.forks.filter(({ settled }) => !settled).map(({ facts }) => facts) ?? []),
    ...(view?.versions
      .filter(({ contents }) => contents.length > 1)
      .map(({ contents }) => contents.map(({ fact }) => fact)) ?? [])
  ]
  const [keep, ...over] = rng.shuffle(rng.pick(disputed) ?? [])
  if (keep === undefined || over.length === 0 || !view?.claim) return
  const value = { authPrev: view.claim.head, head, keep, over: over.toSorted() }
  await node.publish(subject(name), { type: 'resolve', value })
}

/** A new key gets the roles of the old one, takes over, and the old one is revoked with all that it wrote recognised. */
async function rotate(desk: Desk, node: SimNode): Promise<void> {
  const { world } = desk
  const old = node.home.person
  const authority = node.running?.gate.state(world.registry)?.authority
  if (authority === undefined) return
  const roles = authority.grants.filter(({ key, scope }) => key === old.did && scope === parseScope('*'))
  const role: Role = authority.founders.includes(old.did) ? 'owner' : (roles[0]?.role ?? 'member')
  const next = person(`${node.name} rotated ${desk.count} ${desk.rng.next()}`)
  desk.trust(next.did)
  await grant(desk, node, next.did, role)
  const after = node.running?.gate.state(world.registry)?.authority
  if (!after?.grants.some(({ key }) => key === next.did)) return
  node.home.person = next
  desk.keys.push(next.did)
  if (role === 'owner') await revoke(desk, node, old.did)
}
