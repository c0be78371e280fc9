import { randomBytes } from 'node:crypto'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { registryNameFault } from '../protocol/payload.ts'
import { filing } from './authority-api.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import type { PrivateSwarm } from './private-swarms.ts'
import { createRegistry } from './registry-setup.ts'
import type { Api, ApiMethods } from './services/api.ts'
import { expel } from './services/swarm/expel.ts'
import type { Expelled } from './services/swarm/expel.ts'
import { inviteTo } from './services/swarm/invite.ts'
import type { Invited } from './services/swarm/invite.ts'
import { listMembers, showCertificate, warningsOf } from './services/swarm/list.ts'
import type { ShownSwarm, SwarmMethods } from './services/swarm/methods.ts'
import { rotateSwarm } from './services/swarm/rotate.ts'
import { joinSwarm, leaveSwarm } from './swarm-join.ts'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

/** The calls about private swarms. */
export function swarmApi(parts: NodeParts): Pick<Api, keyof SwarmMethods> {
  return {
    swarmCreate: params => createSwarm(parts, params),
    swarmList: async () => parts.privates.all.map(swarm => shown(parts, swarm)),
    invite: params => invite(parts, params),
    join: (params, context) => joinSwarm(parts, params, context),
    members: async ({ registry: which }) => {
      const { swarm, alias } = meantSwarm(parts, which)
      const { registry, members } = swarm
      const state = parts.gate.state(registry)
      if (state?.authority === undefined) throw notRead(alias)
      const { authority } = state
      const sight = { authority, members, self: parts.author.principal, now: parts.clock.now() }
      const connected = new Set(connectedTo(parts, swarm))
      const found = listMembers(sight, { facts: await state.factsOf('registry'), connected })
      const inviting = [...found.members.map(({ invite: by }) => by), ...found.invites]
      const keys = [...found.members.map(({ key }) => key), ...inviting.flatMap(one => one?.by ?? [])]
      return { registry, alias, ...found, publishers: await namedKeys(parts, keys) }
    },
    expel: params => expelMember(parts, params),
    swarmRotate: async ({ registry: which, overlap, key }) => {
      const { swarm, alias } = meantSwarm(parts, which)
      return { registry: swarm.registry, alias, ...(await rotate(parts, swarm, { overlap, key })) }
    },
    swarmLeave: params => leaveSwarm(parts, params)
  }
}

async function createSwarm(
  parts: NodeParts,
  { name, alias = name.replaceAll('.', '-'), listen = [], psk = false, admission }: ApiMethods['swarmCreate']['params']
): Promise<ShownSwarm> {
  const fault = registryNameFault(name)
  if (fault !== undefined)
    throw new RegistryError('INVALID_NAME', `${JSON.stringify(name)} cannot name a registry: ${fault}`, {
      next: 'choose another name, such as acme or acme-tools'
    })
  await parts.privates.record(alias, {
    secrets: { secret: random(32), epoch: 0, psk, previous: null, record: null },
    vouched: [],
    listen
  })
  const { id } = await createRegistry(
    parts,
    { name, alias, ...(admission === undefined ? {} : { admission }) },
    { swarm: alias }
  )
  const swarm = await parts.privates.open(alias, id)
  await swarm.members.recheck()
  return shown(parts, swarm)
}

async function invite(
  parts: NodeParts,
  { registry: which, key, out, ...asked }: ApiMethods['invite']['params']
): Promise<ApiMethods['invite']['result']> {
  const { swarm, alias } = meantSwarm(parts, which)
  const { registry, members } = swarm
  let invited: Invited | undefined
  const { file } = await filing(parts, out, async () => {
    const components = {
      ...parts.authority,
      random,
      secrets: () => members.keys.current,
      addresses: () => parts.swarms.named(swarm.name)?.addresses() ?? []
    }
    const { role, scope, expires, uses, ci = false } = asked
    invited = await inviteTo(components, { registry, key }, { role, scope, expires, uses, ci })
    return { registry, facts: [{ id: invited.fact, subject: 'registry' as const }] }
  })
  if (invited === undefined) throw new RegistryError('INTERNAL', 'no invite was made')
  const { written, ...rest } = invited
  return { ...rest, registry, alias, missing: written.missing, file }
}

async function expelMember(
  parts: NodeParts,
  {
    registry: which,
    member,
    reason = '',
    compromised,
    rotate: isRotated,
    keep = [],
    key,
    out
  }: ApiMethods['expel']['params']
): Promise<ApiMethods['expel']['result']> {
  const { swarm, alias } = meantSwarm(parts, which)
  const { registry, members } = swarm
  let expelled: Expelled | undefined
  const { file } = await filing(parts, out, async () => {
    const components = { ...parts.authority, members, connected: () => connectedTo(parts, swarm) }
    expelled = await expel(components, { registry, key }, { member, reason, isCompromised: compromised, keep })
    return { registry, facts: expelled.written.map(({ fact, subject }) => ({ id: fact, subject })) }
  })
  if (expelled === undefined) throw new RegistryError('INTERNAL', 'nobody was expelled')
  const { written, cut, ...rest } = expelled
  parts.swarms.named(swarm.name)?.recheck()
  const rotated = isRotated && rest.missing === 0 && (await rotatedBy(parts, swarm, key))
  return { ...rest, registry, alias, facts: written.map(({ fact }) => fact), cut: cut.length, rotated, file }
}

/** The recovery key expels and is no owner: that the secret stays is said, and takes nothing back. */
async function rotatedBy(parts: NodeParts, swarm: PrivateSwarm, key: string | undefined): Promise<boolean> {
  try {
    await rotate(parts, swarm, { overlap: undefined, key })
    return true
  } catch (error) {
    if (isRegistryError(error) && error.code === 'NOT_AUTHORIZED') return false
    throw error
  }
}

async function rotate(
  parts: NodeParts,
  { registry, members }: PrivateSwarm,
  { overlap, key }: { readonly overlap: string | undefined; readonly key: string | undefined }
): ReturnType<typeof rotateSwarm> {
  const signer = await parts.authority.memberSigner(key)
  const components = { gate: parts.authority.gate, members, random, now: () => parts.clock.now() }
  return rotateSwarm(components, { registry, signer }, overlap)
}

function shown(parts: NodeParts, swarm: PrivateSwarm): ShownSwarm {
  const { name, registry, members, failure } = swarm
  const host = parts.swarms.named(name)
  const authority = parts.gate.state(registry)?.authority
  const { epoch, psk, previous } = members.keys.current
  const now = parts.clock.now()
  const known =
    authority === undefined
      ? ['nothing is known of the registry yet: no member was met']
      : warningsOf({ authority, members, self: parts.author.principal, now })
  return {
    registry,
    name,
    alias: aliasOf(parts, registry),
    running: host !== undefined,
    peerId: host?.peerId ?? null,
    addresses: host?.addresses() ?? [],
    peers: connectedTo(parts, swarm).length,
    epoch,
    overlapUntil: previous !== null && previous.until > now ? previous.until : null,
    psk,
    certificate: showCertificate(members.credentials.certificate),
    warnings: [...(failure === undefined ? [] : [`its host does not run: ${failure}`]), ...known]
  }
}

/** The private registry that is meant: the one that is named, or the only one. */
export function meantSwarm(
  { registries, privates }: NodeParts,
  which: string | undefined
): { readonly swarm: PrivateSwarm; readonly alias: string } {
  const [only, ...others] = privates.all
  if (which === undefined && only !== undefined && others.length > 0) {
    throw new RegistryError('USAGE', 'this node is in several private swarms: say which one is meant', {
      tried: privates.all.map(({ registry }) => registries.find(registry).alias),
      next: `the same command with --registry ${registries.find(only.registry).alias}`
    })
  }
  const registry = which === undefined && only !== undefined ? only.registry : registries.find(which).id
  return { swarm: privates.of(registry), alias: registries.find(registry).alias }
}

function connectedTo({ swarms }: NodeParts, { name }: PrivateSwarm): readonly string[] {
  return (swarms.named(name)?.peers() ?? []).filter(({ connected }) => connected).map(({ id }) => id)
}

function aliasOf({ registries }: NodeParts, registry: RegistryId): string {
  return registries.all.find(({ id }) => id === registry)?.alias ?? registry
}

function notRead(alias: string): RegistryError {
  return new RegistryError('PENDING', `nothing is known of ${alias} yet: no member was met`, {
    next: 'start the node, and have another member of the swarm running'
  })
}
