import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { vi } from 'vitest'
import { parseRegistryId } from '../../../protocol/cid.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { privateKeys, privateNames } from '../../../protocol/membership/names.ts'
import { readKey } from '../../../storage/key-files.ts'
import { caughtUp } from '../daemon.ts'
import type { Daemon } from '../daemon.ts'
import { freePort } from '../free-port.ts'
import { MET_MS } from '../heard.ts'
import { packageFolder } from '../package-folder.ts'
import type { PackageSpec } from '../package-folder.ts'
import { tempDir } from '../temp-dir.ts'
import { textThing } from './needles.ts'
import type { Thing } from './needles.ts'
import type { Rumours } from './questions.ts'
import { blockThings, factThings, peerThing, secretThings, swarmThings, without } from './things.ts'
import { startWatched } from './watched.ts'
import type { WatchedDaemon } from './watched.ts'

/** Where somebody lives: an address, and what goes before commands there. */
export interface Place {
  readonly address: string
  readonly prefix: readonly string[]
}

export const LOOPBACK: Place = { address: '127.0.0.1', prefix: [] }

/** Names that are nobody else's business. Long enough to be told from chance, and unlike anything public. */
export const VAULT = 'ironwood-vault'
const SQUARE = 'market-square'
/** What stands in every private file. */
const CANARY = 'canary-of-the-ironwood'
/** Private names that the public registry offers too, in a version that beats every other. */
export const CONTESTED = ['contested-lamp', 'contested-bell', 'contested-gate']
const BEATS_ALL = '99.0.0'

export interface TownInit {
  readonly node: Place
  readonly friend: Place
  readonly member: Place
  readonly former: Place
  readonly psk?: boolean
  /** Options of `start` for the node. */
  readonly args?: readonly string[]
}

/** One of the daemons, through all its starts. */
export interface Resident {
  /** `friend`, for messages. */
  readonly role: string
  daemon: WatchedDaemon
  readonly home: string
  readonly recordings: string[]
  readonly outgoing: string[]
  readonly place: Place
  readonly args: readonly string[]
}

/**
 * A node in two swarms, the public one and that of a company, and its neighbours: a friend in public, a member, and one
 * who will be a member no more. All of them are the real program, and write down what they are told.
 */
export interface Town {
  readonly node: Resident
  readonly friend: Resident
  readonly member: Resident
  readonly former: Resident
  /** Public. */
  readonly square: string
  /** Private. */
  readonly vault: string
  /** Where the node listens through all its starts: in public, and for members. */
  readonly publicDoor: string
  readonly privateDoor: string
  /** In hexadecimal: the outer wall of the private swarm, where it has one. */
  readonly psk?: string
  /** Peer ids of all hosts that ever ran, with whose they are. */
  readonly hosts: Map<string, string>
}

export async function buildTown(init: TownInit): Promise<Town> {
  const friend = await settle('friend', init.friend)
  const square = (await friend.daemon.client.call('registryCreate', { name: SQUARE })).id
  await publish(friend.daemon, { name: 'square-fountain', files: { 'water.txt': 'clear\n' } })
  for (const name of CONTESTED) await publish(friend.daemon, { name, version: BEATS_ALL })

  const node = await settle('node', init.node, init.args)
  await node.daemon.client.call('registryAdd', {
    id: square,
    alias: 'square',
    peer: friend.daemon.address,
    isDefault: true
  })
  const created = await node.daemon.client.call('swarmCreate', {
    name: VAULT,
    listen: [`/ip4/${init.node.address}/tcp/${await freePort()}`],
    ...(init.psk === true ? { psk: true } : {})
  })
  const vault = created.registry
  for (const name of CONTESTED) await publish(node.daemon, { name }, VAULT)
  await publish(node.daemon, secretPackage('vault-ledger'), VAULT)
  const secret = await readKey(join(node.home, 'keys'), `secret-${VAULT}`)
  const town: Town = {
    ...(init.psk === true && { psk: toHex(privateKeys(secret).psk) }),
    node,
    friend,
    member: await settle('member', init.member, ['--keep', 'all']),
    former: await settle('former', init.former, ['--keep', 'all']),
    square,
    vault,
    publicDoor: node.daemon.address,
    privateDoor: created.addresses[0] ?? '',
    hosts: new Map([
      [friend.daemon.peerId, 'friend'],
      [node.daemon.peerId, 'node'],
      [created.peerId ?? '', 'node in private']
    ])
  }
  for (const each of [town.member, town.former]) await bringIn(town, each)
  return town
}

/** A package that only members may know of. */
export function secretPackage(name: string, version = '1.0.0'): PackageSpec {
  const files = { 'ledger.txt': `${CANARY} of ${name} ${version}\n` }
  return { name, version, description: `${CANARY} in words`, files }
}

export async function publish(daemon: Daemon, spec: PackageSpec, registry?: string): Promise<string> {
  const folder = await packageFolder(spec)
  return (await daemon.client.call('publish', { folder, ...(registry === undefined ? {} : { registry }) })).cid
}

async function settle(role: string, place: Place, args: readonly string[] = []): Promise<Resident> {
  const daemon = await startWatched({ ...lifeAt(place), args })
  const { home, recording, outgoingFile } = daemon
  return { role, daemon, home, recordings: [recording], outgoing: [outgoingFile], place, args }
}

function lifeAt({ address, prefix }: Place): {
  readonly listen: readonly string[]
  readonly prefix: readonly string[]
} {
  return { listen: [`/ip4/${address}/tcp/0`], prefix }
}

/** Starts it again, on its own data directory or on another one. */
export async function startAgain(resident: Resident, home: string = resident.home): Promise<void> {
  const { place, args } = resident
  // Where it listened before: others look for it there.
  const listen = [resident.daemon.address.split('/p2p/')[0] ?? '']
  resident.daemon = await startWatched({ ...lifeAt(place), listen, args, home })
  resident.recordings.push(resident.daemon.recording)
  resident.outgoing.push(resident.daemon.outgoingFile)
}

/** Somebody becomes a member, in public too, and is told all there is. */
async function bringIn(town: Town, resident: Resident): Promise<void> {
  const { client } = resident.daemon
  const { square, vault, node, friend } = town
  await client.call('registryAdd', { id: square, alias: 'square', peer: friend.daemon.address, isDefault: true })
  const { token } = await node.daemon.client.call('invite', { registry: VAULT })
  await client.call('join', { token, listen: [`/ip4/${resident.place.address}/tcp/0`] })
  const [swarm] = await client.call('swarmList', {})
  town.hosts.set(resident.daemon.peerId, resident.role).set(swarm?.peerId ?? '', `${resident.role} in private`)
  await caughtUp(node.daemon, resident.daemon, vault, { kept: true })
}

/** A newcomer joins, installs what members may, and is gone: his home remains. */
export async function visitAsMember(town: Town, name: string, project: string): Promise<string> {
  const resident = await settle('newcomer', town.member.place, ['--keep', 'all'])
  await bringIn(town, resident)
  await resident.daemon.client.call('install', { references: [`${VAULT}:${name}`], project, force: false })
  await resident.daemon.stop()
  return resident.home
}

/** The former member is cut, and comes back. */
export interface Expulsion {
  /** From when on he must be told nothing. */
  readonly since: number
  /** Until the last member had cut him. */
  readonly cutMs: number
}

/**
 * The former member is expelled while he is connected. What he is afterwards is his whole data directory from before, on
 * which the program knows nothing of it.
 */
export async function expelFormer({ node, member, former, vault }: Town): Promise<Expulsion> {
  const before = join(await tempDir('former'), 'home')
  const { key } = await former.daemon.client.call('status', {})
  await former.daemon.stop()
  await cp(former.home, before, { recursive: true })
  await startAgain(former)
  await node.daemon.client.call('waitFor', { registry: vault, facts: 0, peers: 2, kept: false, timeoutMs: MET_MS })
  const started = performance.now()
  await node.daemon.client.call('expel', { member: key, registry: VAULT, compromised: false, rotate: false })
  // Who has not heard of it yet may let him in once more, so that is waited for first.
  await caughtUp(node.daemon, member.daemon, vault)
  const isCut = async (): Promise<boolean> =>
    (await former.daemon.client.call('peers', {})).every(({ swarm, verdict }) => swarm !== VAULT || verdict === 'gone')
  await vi.waitUntil(isCut, { timeout: 60_000, interval: 100 })
  const expulsion = { since: Date.now(), cutMs: performance.now() - started }
  await former.daemon.stop()
  await startAgain(former, before)
  return expulsion
}

/** What a stranger may have heard of from somebody who did not keep it to himself. */
export async function rumoursOf({ node, vault }: Town): Promise<Rumours> {
  const names = privateNames(await readKey(join(node.home, 'keys'), `secret-${VAULT}`))
  const { versions } = await node.daemon.client.call('show', { reference: `${VAULT}:vault-ledger` })
  const contents = versions.flatMap(version => version.contents)
  return {
    cids: contents.map(({ cid }) => cid),
    registries: [vault],
    facts: contents.map(({ fact }) => fact),
    topics: [names.topicOf(parseRegistryId(vault))],
    protocols: [names.kadProtocol]
  }
}

/** Everything about the vault that is in no public place, read from the homes of those who have it. Nobody may run. */
export async function vaultThings({ node, friend, member, former, square, vault }: Town, homes: readonly string[]) {
  const registry = parseRegistryId(vault)
  const things: Thing[] = [
    textThing('name', VAULT),
    textThing('text', CANARY),
    ...(await factThings(node.home, [vault]))
  ]
  for (const home of [node.home, member.home, former.home, ...homes]) {
    things.push(...(await blockThings(join(home, `blocks-${VAULT}`))), ...(await secretThings(home)))
    things.push(await peerThing(home, `swarm-${VAULT}`))
  }
  things.push(...swarmThings(await readKey(join(node.home, 'keys'), `secret-${VAULT}`), registry))
  const open = [...(await factThings(friend.home, [square])), ...(await blockThings(join(friend.home, 'blocks')))]
  return without(things, open)
}

export async function endTown({ node, friend, member, former }: Town): Promise<void> {
  for (const { daemon } of [former, member, node, friend]) await daemon.stop()
}
