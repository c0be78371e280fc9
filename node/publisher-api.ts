import type { FactId, RegistryId } from '../protocol/cid.ts'
import { parsePrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { DOMAIN_TYPE } from '../protocol/publisher/claim.ts'
import { domainFault, parseDomain, questionOf } from '../protocol/publisher/domain.ts'
import type { Domain } from '../protocol/publisher/domain.ts'
import { txtOf } from '../protocol/publisher/txt.ts'
import { filing } from './authority-api.ts'
import type { NodeParts } from './parts.ts'
import type { Api, CallContext } from './services/api.ts'
import { claimDomain } from './services/publisher/claimer.ts'
import type { Claimed } from './services/publisher/claimer.ts'
import type { PublisherMethods } from './services/publisher/methods.ts'
import type { ShownBinding } from './services/publisher/publishers.ts'

type Methods = PublisherMethods

/** The calls about keys that are bound to domains. */
export function publisherApi(parts: NodeParts): Pick<Api, keyof PublisherMethods> {
  return {
    publisherClaim: params => claim(parts, params),
    publisherVerify: ({ what }, context) => verify(parts, what ?? parts.author.principal, context),
    publisherList: ({ registry }) => list(parts, registry)
  }
}

async function claim(
  parts: NodeParts,
  { domain: text, registry: which, key, out }: Methods['publisherClaim']['params']
): Promise<Methods['publisherClaim']['result']> {
  const domain = domainFrom(text)
  const { id: registry, alias } = parts.registries.find(which)
  let claimed: Claimed | undefined
  const { file } = await filing(parts, out, async () => {
    claimed = await claimDomain(parts.attester, { domain, registry, key })
    return { registry, facts: [{ id: claimed.fact, subject: claimed.subject }] }
  })
  if (claimed === undefined) throw new RegistryError('INTERNAL', 'nothing was signed')
  const { key: by, fact, isNew } = claimed
  return { key: by, domain, registry, alias, fact, isNew, file, record: { name: questionOf(domain), text: txtOf(by) } }
}

async function verify(
  parts: NodeParts,
  what: string,
  { signal }: CallContext
): Promise<Methods['publisherVerify']['result']> {
  if (what.startsWith('did:')) {
    const key = parsePrincipal(what)
    for (const { domain } of await parts.publishers.bindings(key)) await parts.publishers.ask(domain, signal)
    return { bindings: await parts.publishers.bindings(key), named: [], unclaimed: [], fault: null }
  }
  const domain = domainFrom(what)
  const { answer, failure } = await parts.publishers.ask(domain, signal)
  const named = failure === null ? (answer?.keys ?? []) : []
  const bindings = (await Promise.all(named.map(key => parts.publishers.bindings(key))))
    .flat()
    .filter(one => one.domain === domain)
  const unclaimed = named.filter(key => !bindings.some(one => one.key === key))
  return { bindings, named, unclaimed, fault: failure?.fault ?? null }
}

async function list(parts: NodeParts, which: string | undefined): Promise<Methods['publisherList']['result']> {
  const named = which === undefined ? parts.registries.all : [parts.registries.find(which)]
  const keys = new Set<Principal>()
  for (const { id } of named) {
    for await (const { attestations, setAside } of parts.view.digests(id)) {
      for (const { predicateType, by } of attestations) if (predicateType === DOMAIN_TYPE) keys.add(by)
      // Who holds no role may speak of itself all the same: the row names the fact alone.
      for (const { fact } of setAside) {
        const by = await authorOf(parts, id, fact)
        if (by !== undefined) keys.add(by)
      }
      if (keys.size >= LIMITS.publisher.listed) break
    }
  }
  const aliases = new Map(parts.registries.all.map(({ id, alias }) => [id, alias]))
  const found: (ShownBinding & { readonly alias: string })[] = []
  for (const key of keys) {
    for (const one of await parts.publishers.bindings(key)) {
      const isMeant = which === undefined || named.some(({ id }) => id === one.registry)
      if (isMeant) found.push({ ...one, alias: aliases.get(one.registry) ?? one.registry })
    }
  }
  return found.slice(0, LIMITS.publisher.listed)
}

async function authorOf({ facts }: NodeParts, registry: RegistryId, fact: FactId): Promise<Principal | undefined> {
  const bytes = await facts.get(registry, fact)
  return bytes === undefined ? undefined : parseEnvelope(bytes).body.author
}

function domainFrom(text: string): Domain {
  const fault = domainFault(text)
  if (fault === undefined) return parseDomain(text)
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not a domain: ${fault}`, {
    next: 'write it as DNS has it: example.org'
  })
}
