import { RegistryError } from '../protocol/errors.ts'
import type { FactId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { ecosystemOf } from '../protocol/package-name.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { OBSERVING_ROLES } from '../protocol/role.ts'
import { orderingOf } from '../protocol/version.ts'
import type { Version } from '../protocol/version.ts'
import type { NodeParts } from './parts.ts'
import { pinTarget } from './pin-target.ts'
import type { Api, CallContext } from './services/api.ts'
import type { ObservationMethods, SightingState, ToldRelease } from './services/observation/methods.ts'
import { tellOf } from './services/observation/observer.ts'

/** The calls about when releases were first seen. */
export function observationApi(parts: NodeParts): Pick<Api, 'observe'> {
  return { observe: (params, context) => observe(parts, params, context) }
}

async function observe(
  parts: NodeParts,
  { what, key }: ObservationMethods['observe']['params'],
  { signal }: CallContext
): Promise<ObservationMethods['observe']['result']> {
  const { attester, observer, registries, view } = parts
  const target = await pinTarget(parts, what)
  if (target.type === 'root')
    throw new RegistryError('USAGE', 'releases are observed, and this is one content', {
      next: 'ggen-node observe NAME, or ALIAS: for a registry'
    })
  const { registry } = target
  const signer = await attester.signer(key)
  const names: PackageName[] = []
  if (target.type === 'package') names.push(target.name)
  else for await (const { name, versions } of view.packages(registry)) if (versions.length > 0) names.push(name)
  const range = target.type === 'package' ? target.range : null
  const facts: FactId[] = []
  const releases: ToldRelease[] = []
  let [isHeld, isExpired, more] = [names.length === 0, false, false]
  for (const name of names) {
    signal.throwIfAborted()
    if (facts.length >= LIMITS.observation.factsPerCommand) {
      more = true
      break
    }
    const told = await tellOf(observer, { registry, name, signer, ...meaning(name, range) })
    isHeld ||= told.holding === 'held'
    isExpired ||= told.holding === 'expired'
    facts.push(...told.facts)
    releases.push(...told.releases)
  }
  const { alias } = registries.find(registry)
  if (!isHeld) throw notHeld(alias, { key: signer.principal, isExpired })
  return { registry, alias, facts, counts: countsOf(releases), releases: named(releases), more }
}

function meaning(name: PackageName, range: string | null): { readonly isMeant?: (version: Version) => boolean } {
  return range === null ? {} : { isMeant: orderingOf(ecosystemOf(name)).parseRange(range) }
}

function notHeld(
  alias: string,
  { key, isExpired }: { readonly key: string; readonly isExpired: boolean }
): RegistryError {
  const why = isExpired ? ': its role has expired' : ''
  return new RegistryError('NOT_AUTHORIZED', `in ${alias} it does not count when this key saw something${why}`, {
    tried: [`looked for one of the roles ${OBSERVING_ROLES.join(', ')} for ${key}`],
    next: `an owner of the registry gives it: ggen-node role grant ${key} mirror --registry ${alias}`
  })
}

function countsOf(releases: readonly ToldRelease[]): Readonly<Record<SightingState, number>> {
  const count = (state: SightingState): number => releases.filter(one => one.state === state).length
  return {
    told: count('told'),
    same: count('same'),
    own: count('own'),
    'first-look': count('first-look'),
    enough: count('enough')
  }
}

function named(releases: readonly ToldRelease[]): readonly ToldRelease[] {
  const [told, others] = [true, false].map(is => releases.filter(({ state }) => (state === 'told') === is))
  return [...(told ?? []), ...(others ?? [])].slice(0, LIMITS.observation.named)
}
