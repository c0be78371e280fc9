import { randomInt } from 'node:crypto'
import { parseSecret, principalOf } from '../attestation/keys.ts'
import { equalBytes } from '../protocol/bytes.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { rolesOfMember } from '../protocol/membership/members.ts'
import { parseToken } from '../protocol/membership/token.ts'
import type { Token } from '../protocol/membership/token.ts'
import { untilCaughtUp } from './caught-up.ts'
import type { NodeParts } from './parts.ts'
import type { PrivateSwarm } from './private-swarms.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import { showCertificate, warningsOf } from './services/swarm/list.ts'
import { guestOf, redeemInvite } from './services/swarm/redeem.ts'
import type { HostSigner } from './services/swarm/signer.ts'
import type { Swarm } from './p2p/swarm.ts'

type Joined = ApiMethods['join']['result']

/** What joining needs beside the token. */
export interface JoinOptions {
  readonly alias?: string
  readonly listen?: readonly string[]
}

/**
 * Makes this node a member of a private swarm, or finds that it is one. In order: what is written down here, the host, a
 * member who lets the holder of the invite in, the facts, the redemption, and in again as the member that this key is
 * then. A crash, or a wire that is cut, leaves a swarm that the same command goes on with; an invite that lets nobody in
 * leaves nothing.
 * @throws RegistryError MALFORMED | USAGE | NOT_AUTHORIZED | PEER_UNREACHABLE
 */
export async function joinSwarm(
  parts: NodeParts,
  { token: text, ...options }: ApiMethods['join']['params'],
  context: CallContext
): Promise<Joined> {
  const token = parseToken(text)
  if (!parts.privates.isNetworked) {
    throw new RegistryError('USAGE', 'joining needs a network, and this node lives without one')
  }
  if (token.kind === 'member' && principalOf(parseSecret(token.key)) !== parts.author.principal) {
    throw new RegistryError('USAGE', 'the token holds a key of its own: this node signs with another one', {
      next: 'give it in $GGEN_NODE_TOKEN, or as a file in $GGEN_NODE_TOKEN_FILE, to every command of that machine'
    })
  }
  const known = parts.registries.all.find(({ id }) => id === token.registry)
  if (known !== undefined) return enterKnown(parts, { token, name: known.swarm }, context)
  const swarm = await prepared(parts, token, options)
  try {
    return await enter(parts, { token, swarm }, context)
  } catch (error) {
    const isFinal = isRegistryError(error) && error.code === 'NOT_AUTHORIZED'
    if (isFinal) await leaveSwarm(parts, { registry: swarm.name, purge: true })
    throw error
  }
}

/**
 * Enters a swarm that this node is in, with what another token says of its secret. Attack: a forged token, or one of a
 * member who was expelled, and whoever believed it would never find his swarm again. So the old secret stays beside the
 * new one, and nothing is written down before a member of the registry, as its facts here say, has shown the new one too.
 */
async function enterKnown(
  parts: NodeParts,
  { token, name }: { readonly token: Token; readonly name: string },
  context: CallContext
): Promise<Joined> {
  const { registry, secret, addresses } = token
  const { members, store } = parts.privates.of(registry)
  const isProposed = members.keys.propose(token)
  let under: Uint8Array | undefined
  try {
    const swarm = await parts.privates.open(name, registry, guestIn(token))
    const joined = await enter(parts, { token, swarm }, context)
    under = parts.swarms.named(name)?.heldUnder(joined.peer)
    return joined
  } finally {
    const isTaken = await members.keys.settle(under)
    // Whoever knows the secret of today made the token: its addresses are those of members.
    if (isTaken || (under !== undefined && equalBytes(secret, members.keys.current.secret)))
      await store.putVouched(addresses)
    if (isProposed) await members.recheck()
  }
}

/** Writes down what the token says, follows the registry and starts the host. */
async function prepared(parts: NodeParts, token: Token, { alias, listen = [] }: JoinOptions): Promise<PrivateSwarm> {
  const { registry, secret, epoch, psk, addresses } = token
  const name = alias ?? token.name.replaceAll('.', '-')
  await parts.privates.record(name, {
    secrets: { secret, epoch, psk, previous: null, record: null },
    vouched: addresses,
    listen
  })
  await parts.registries.add(registry, { alias: name, isDefault: false, swarm: name })
  await parts.follow(registry)
  return parts.privates.open(name, registry, guestIn(token))
}

/** As whom the holder of an invite shows itself until its own key is a member. */
function guestIn(token: Token): HostSigner | undefined {
  return token.kind === 'invite' ? guestOf(token) : undefined
}

interface Entering {
  readonly token: Token
  readonly swarm: PrivateSwarm
}

async function enter(parts: NodeParts, { token, swarm }: Entering, context: CallContext): Promise<Joined> {
  const { registry } = token
  const { members } = swarm
  const { signal, onProgress } = context
  const host = (): Swarm => parts.swarms.require(swarm.name)
  const member = parts.author.principal
  onProgress({ text: 'looking for a member who answers' })
  const peer = await keepKnocking(parts, host(), { token, context })
  onProgress({ text: 'reading the registry' })
  host().reconcile(registry)
  await untilCaughtUp(parts, [registry], { patienceMs: LIMITS.sync.patienceMs, signal })
  const already = token.kind === 'member' || isMember(parts, registry)
  if (token.kind === 'invite') {
    await redeem(parts, token)
    members.enterAs(undefined)
  }
  if (!already) {
    // Whoever let the holder of the invite in gets to know the member that it has become.
    await host().disconnect(peer)
    await keepKnocking(parts, host(), { token, context })
  }
  await members.recheck()
  if (token.kind === 'invite' && !already) await redeem(parts, token)
  await certified(swarm, signal)
  const { authority } = parts.gate.state(registry) ?? {}
  if (authority === undefined || !isMember(parts, registry)) {
    throw new RegistryError(
      'NOT_AUTHORIZED',
      `${member} is no member of the registry, as far as its facts are known here`,
      {
        next: 'ask an owner of the registry for a new token'
      }
    )
  }
  const now = parts.clock.now()
  const entry = parts.registries.find(registry)
  const role = rolesOfMember(authority, member, now)[0] ?? 'member'
  return {
    registry,
    alias: entry.alias,
    name: swarm.name,
    member,
    role,
    peer,
    facts: parts.facts.head(registry).count,
    packages: (await parts.view.counts(registry)).packages,
    certificate: showCertificate(members.credentials.certificate),
    already,
    warnings: warningsOf({ authority, members, self: member, now })
  }
}

function isMember(parts: NodeParts, registry: RegistryId): boolean {
  const authority = parts.gate.state(registry)?.authority
  return authority !== undefined && rolesOfMember(authority, parts.author.principal, parts.clock.now()).length > 0
}

async function redeem(parts: NodeParts, token: Extract<Token, { kind: 'invite' }>): Promise<void> {
  const { gate, announce } = parts.authority
  await redeemInvite(
    {
      gate: { ...gate, admit: (bytes, source) => parts.gate.admit(bytes, source) },
      announce,
      pick: n => randomInt(n),
      now: () => parts.clock.now()
    },
    token,
    parts.author.principal
  )
}

/** The first of the token's addresses that lets us in; whoever was found on the local network meanwhile is as good. */
async function knock(host: Swarm, addresses: readonly string[], signal: AbortSignal): Promise<string> {
  const tried: string[] = []
  let refusal: RegistryError | undefined
  for (const address of addresses) {
    signal.throwIfAborted()
    try {
      return await host.connect(address, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(LIMITS.connections.dialTimeoutMs)])
      })
    } catch (error) {
      signal.throwIfAborted()
      if (isRegistryError(error) && error.code === 'NOT_AUTHORIZED') refusal = error
      tried.push(`${address}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const [here] = host.peers().filter(({ connected }) => connected)
  if (here !== undefined) return here.id
  if (refusal !== undefined) throw refusal
  throw new RegistryError('PEER_UNREACHABLE', 'no member of the swarm could be reached', {
    tried,
    next: 'check that a node of the swarm runs at one of these addresses, then join again with the same token'
  })
}

/**
 * Tried more than once: a member that others join or leave just now answers late, and one who knew us before may just be
 * ending that connection.
 */
async function keepKnocking(
  { clock }: NodeParts,
  host: Swarm,
  { token, context: { signal, onProgress } }: { readonly token: Token; readonly context: CallContext }
): Promise<string> {
  const { joinTries, joinAgainMs, joinForMs } = LIMITS.membership
  const started = clock.now()
  for (let tries = 1; ; tries++) {
    try {
      return await knock(host, token.addresses, signal)
    } catch (error) {
      const isPassing = isRegistryError(error) && error.code === 'PEER_UNREACHABLE'
      if (!isPassing || tries >= joinTries || clock.now() - started > joinForMs) throw error
      onProgress({ text: 'nobody answers yet, trying again' })
      await clock.sleep(joinAgainMs, signal)
    }
  }
}

/** Gives owners and curators that are here a moment to certify this host. Without any, the invite goes on letting it in. */
async function certified({ members }: PrivateSwarm, signal: AbortSignal): Promise<void> {
  if (!members.needsCertificate()) return
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.membership.certifyPatienceMs)])
  await new Promise<void>(resolve => {
    const finish = (): void => {
      stop()
      patience.removeEventListener('abort', finish)
      resolve()
    }
    const stop = members.onChange(() => {
      if (!members.needsCertificate()) finish()
    })
    patience.addEventListener('abort', finish, { once: true })
    if (patience.aborted || !members.needsCertificate()) finish()
  })
  signal.throwIfAborted()
}

/** Forgets how to be in a swarm, and with `purge` all that its registry holds. */
export async function leaveSwarm(
  parts: NodeParts,
  { registry, newDefault, purge }: ApiMethods['swarmLeave']['params']
): Promise<ApiMethods['swarmLeave']['result']> {
  const swarm = parts.privates.of(parts.registries.find(registry).id)
  // The registry first: what is left of the swarm after a crash belongs to nothing, and the next start clears it.
  const { id, alias } = await parts.registries.remove(registry, newDefault)
  await parts.privates.close(swarm.name, { forget: true })
  parts.gate.close(id)
  if (purge) await parts.facts.forget(id)
  else await parts.facts.release(id)
  await parts.spaces.remove(swarm.name, { purge })
  const next = parts.registries.all.find(({ isDefault }) => isDefault)
  return { registry: id, alias, purged: purge, newDefault: next?.alias ?? null }
}
