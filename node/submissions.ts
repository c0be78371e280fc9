import { randomBytes } from 'node:crypto'
import type { RegistryId } from '../protocol/cid.ts'
import { parsePrincipal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { cleanText } from '../protocol/manifest-text.ts'
import { shortNameOf } from '../protocol/package-name.ts'
import { isPackage } from '../protocol/subject.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { parseReference } from '../protocol/reference.ts'
import { parseSubmission } from '../protocol/submission.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { FollowedRegistry, Records } from '../storage/records.ts'
import type { Changes } from './changes.ts'
import type { OwnSigner } from './identity.ts'
import { ownReference } from './meant.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import type { Clock } from './runtime/clock.ts'
import type { Api, WaitingSubmission } from './services/api.ts'
import { Desk } from './services/submit/desk.ts'
import type { DeskComponents } from './services/submit/desk.ts'
import { Inbox } from './services/submit/inbox.ts'
import { NameIndex } from './services/submit/name-index.ts'
import type { NameReader } from './services/submit/name-index.ts'
import { submitter } from './services/submit/submitter.ts'
import type { Submit } from './services/submit/submitter.ts'
import type { Swarms } from './swarms.ts'

export interface SubmissionsInit extends Pick<DeskComponents, 'author' | 'gate' | 'announce'> {
  readonly clock: Clock
  readonly facts: FactStore
  readonly records: Records
  readonly signer: OwnSigner
  readonly view: Pick<NameReader, 'find'>
  readonly changes: Changes
  readonly swarms: Swarms
}

/** Asking for names and being asked, over the parts of a node. */
export interface Submissions {
  readonly desk: Desk
  readonly names: NameIndex
  readonly submit: Submit
  /** A fact about something came in. */
  noticed(registry: RegistryId, subject: Subject): void
}

export function composeSubmissions(init: SubmissionsInit): Submissions {
  const { author, gate, announce, clock, facts, records, signer, view, swarms } = init
  const names = new NameIndex({
    names: registry => namesOf(facts, registry),
    find: (registry, name) => view.find(registry, name)
  })
  const now = (): number => clock.now()
  const desk = new Desk({ author, gate, names, inbox: new Inbox(records), announce, now })
  const submit = submitter({
    signer,
    gate,
    names,
    desk,
    records,
    peers: registry => (swarms.of(registry)?.peers() ?? []).filter(peer => peer.connected),
    askPeer: async (peer, request, signal) => {
      const registry = request.type === 'ask' ? request.registry : parseSubmission(request.envelope).body.registry
      const swarm = swarms.of(registry)
      if (swarm === undefined) throw new RegistryError('PEER_UNREACHABLE', 'there is no network')
      return swarm.askSubmission(peer, request, signal)
    },
    arrival: (registry, name, signal) => arrival(init, { registry, name }, signal),
    now,
    nonce: () => new Uint8Array(randomBytes(16))
  })
  return { desk, names, submit, noticed: (registry, subject) => names.noticed(registry, subject) }
}

async function* namesOf(facts: FactStore, registry: RegistryId): AsyncGenerator<PackageName> {
  for await (const [subject] of facts.rows(registry)) if (isPackage(subject)) yield subject
}

/** Waits until the claim of a name is here, but not for ever: gossip or the next reading brings it. */
async function arrival(
  { view, changes, swarms }: SubmissionsInit,
  { registry, name }: { readonly registry: RegistryId; readonly name: PackageName },
  signal: AbortSignal
): Promise<boolean> {
  const isHere = async (): Promise<boolean> => ((await view.find(registry, name))?.claim ?? null) !== null
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.submit.arrivalMs)])
  swarms.of(registry)?.reconcile(registry)
  while (!patience.aborted) {
    // Listening begins before the look, so that nothing comes in between.
    const changed = nextChange(changes, patience)
    if (await isHere()) {
      changed.stop()
      return true
    }
    await changed.happened
  }
  signal.throwIfAborted()
  return isHere()
}

function nextChange(changes: Changes, signal: AbortSignal): { readonly happened: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = (): void => {
    unlisten()
    signal.removeEventListener('abort', stop)
    resolve()
  }
  const unlisten = changes.listen(stop)
  signal.addEventListener('abort', stop, { once: true })
  return { happened: promise, stop }
}

type SubmissionCalls = Pick<Api, 'submit' | 'curateList' | 'curateGrant' | 'curateDeny'>

/** The calls about asking for names. */
export function submissionCalls(parts: NodeParts): SubmissionCalls {
  const { desk } = parts
  return {
    submit: async ({ reference, registry: alias, owners, threshold, note }, { signal }) => {
      const { name, registry } = await nameAndRegistry(parts, reference, alias)
      const wish = { name, owners: owners.map(parseOwner), threshold, note }
      return { ...(await parts.submit(registry.id, wish, signal)), alias: registry.alias }
    },
    curateList: ({ registry }) => waitingIn(parts, registry),
    curateGrant: async ({ names, registry, allowSimilar = false }) => {
      if (names.length > LIMITS.submit.decisions) {
        throw new RegistryError('LIMIT_EXCEEDED', `at most ${LIMITS.submit.decisions} names are decided on at once`)
      }
      const waiting = await waitingIn(parts, registry)
      const chosen = [...new Set(names.map(which => pick(waiting, which)))]
      const granted = []
      for (const { registry: of, id } of chosen)
        granted.push({ ...(await desk.grant(of, id, { allowSimilar })), registry: of })
      return granted
    },
    curateDeny: async ({ name: which, registry, reason: said }) => {
      // The one spelling that may travel: no controls, no bidi overrides.
      const reason = cleanText(said)
      if (reason === '') throw new RegistryError('USAGE', 'say why: --reason TEXT')
      if (reason.length > LIMITS.submit.reasonChars) {
        throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.submit.reasonChars} characters`)
      }
      const { name, registry: of, id } = pick(await waitingIn(parts, registry), which)
      await desk.deny(of, id, reason)
      return { name, registry: of, id }
    }
  }
}

async function nameAndRegistry(
  parts: NodeParts,
  text: string,
  alias: string | undefined
): Promise<{ readonly name: PackageName; readonly registry: FollowedRegistry }> {
  const reference = parseReference(text)
  if (reference.range === undefined) {
    // Attack: an accident. Asking strangers for a private name tells them that there is one.
    const { registry } =
      alias === undefined ? await ownReference(parts, text) : { registry: parts.registries.find(alias) }
    return { name: reference.name, registry }
  }
  throw new RegistryError('INVALID_REFERENCE', 'a name is asked for, not a version of it', {
    next: `ggen-node submit ${shortNameOf(reference.name)}`
  })
}

async function waitingIn(parts: NodeParts, alias: string | undefined): Promise<WaitingSubmission[]> {
  const { registries, desk } = parts
  const wanted = alias === undefined ? registries.all : [registries.find(alias)]
  const lists = wanted.map(async registry =>
    Promise.all(
      (await desk.waiting(registry.id)).map(async ({ envelope: { id, author, body }, arrived }) => ({
        similar: await desk.similar(registry.id, body.name, author),
        id,
        registry: registry.id,
        alias: registry.alias,
        name: body.name,
        by: author,
        keys: body.keys,
        publishers: await namedKeys(parts, [author, ...body.keys]),
        threshold: body.threshold,
        note: body.note,
        arrived
      }))
    )
  )
  return (await Promise.all(lists)).flat()
}

/** The one submission of that id, or of that name when only one asks for it. */
function pick(waiting: readonly WaitingSubmission[], which: string): WaitingSubmission {
  const found = waiting.filter(({ id, name }) => id === which || name === which || name === `ggen/${which}`)
  const [only, ...others] = found
  if (only === undefined) {
    throw new RegistryError('UNKNOWN_SUBMISSION', `nobody waits for ${JSON.stringify(which.slice(0, 80))} here`, {
      next: 'ggen-node curate list shows what waits'
    })
  }
  if (others.length === 0) return only
  throw new RegistryError('USAGE', `${found.length} submissions ask for ${which}`, {
    tried: found.map(({ id, by, alias }) => `${id} in ${alias} by ${by}`),
    next: 'name one by its id'
  })
}

function parseOwner(text: string): ReturnType<typeof parsePrincipal> {
  try {
    return parsePrincipal(String(text))
  } catch (cause) {
    throw new RegistryError('USAGE', `${JSON.stringify(String(text).slice(0, 80))} is not a key`, {
      cause,
      next: 'a key begins with did:key:z6Mk; its owner sees it with ggen-node key show'
    })
  }
}
