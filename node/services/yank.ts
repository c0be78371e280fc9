import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ofType } from '../../protocol/fold-versions.ts'
import type { VersionView } from '../../protocol/fold-versions.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { cleanText } from '../../protocol/manifest-text.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { CitedAuthority, Payload } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import type { Signer } from './author.ts'
import { awaitedOf } from './authority/awaiting.ts'
import type { Awaiting } from './authority/awaiting.ts'
import { asideReason, claimOf, placeOf } from './authority/place.ts'
import type { Place } from './authority/place.ts'
import { assertMayPublish } from './publish.ts'
import type { PublishComponents } from './publish.ts'

export interface YankResult {
  readonly name: PackageName
  readonly version: Version
  /** Whether the version is yanked now. */
  readonly yanked: boolean
  /** Null when the version already was as asked. */
  readonly fact: FactId | null
  /** What more owners must sign before it counts. */
  readonly awaiting: Awaiting | null
}

export interface YankTarget {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: string
  /** Another key of the data directory. */
  readonly key?: string | undefined
}

export interface Yanker {
  yank(target: YankTarget, reason: string): Promise<YankResult>
  unyank(target: YankTarget): Promise<YankResult>
}

type YankComponents = Pick<PublishComponents, 'author' | 'signer' | 'now' | 'gate' | 'announce'>

/** Yanks and unyanks versions. The bytes stay: whoever names the version exactly by its content still gets it. */
export function yanker(components: YankComponents): Yanker {
  return {
    async yank(target, said) {
      // The one spelling that a fact may hold: no controls, no bidi overrides.
      const reason = cleanText(said)
      if (reason.length > LIMITS.fact.reasonChars) {
        throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.fact.reasonChars} characters`)
      }
      const found = await find(components, target)
      const { entry, authority } = found
      const { version } = entry
      if (entry.yanks.length > 0) return { name: target.name, version, yanked: true, fact: null, awaiting: null }
      const value = { version, reason, authority }
      return write(components, target, { ...found, payload: { type: 'yank', value } })
    },
    async unyank(target) {
      const found = await find(components, target)
      const { entry, authority } = found
      const { version } = entry
      if (entry.yanks.length === 0) return { name: target.name, version, yanked: false, fact: null, awaiting: null }
      const yanks = entry.yanks.slice(0, LIMITS.fact.yanksPerUnyank).map(yank => yank.fact)
      return write(components, target, { ...found, payload: { type: 'unyank', value: { version, yanks, authority } } })
    }
  }
}

interface Found {
  readonly place: Place
  readonly signer: Signer
  readonly entry: VersionView
  readonly authority: CitedAuthority
}

async function write(
  { author, gate, announce }: YankComponents,
  { registry, name }: YankTarget,
  { place, signer, entry, payload }: Found & { readonly payload: Extract<Payload, { type: 'yank' | 'unyank' }> }
): Promise<YankResult> {
  const { version } = entry
  let id = awaitedSame(place, signer, payload)
  if (id === undefined) {
    const fact = await author.write(registry, name, payload, { signer })
    announce(registry, fact)
    id = fact.id
  }
  const awaiting = await awaitedOf(gate, registry, { subject: name, ids: [id] })
  return { name, version, yanked: (payload.type === 'yank') === (awaiting === null), fact: id, awaiting }
}

/** What this key signed before to the same end, and what still waits for others. */
function awaitedSame(place: Place, { principal }: Signer, { type, value }: Payload): FactId | undefined {
  if (type !== 'yank' && type !== 'unyank') return undefined
  return ofType(place.facts, type).find(
    ({ id, body, payload }) =>
      body.author === principal &&
      payload.value.version === value.version &&
      asideReason(place, id) === 'threshold-not-met'
  )?.id
}

async function find({ gate, signer: signerOf, now }: YankComponents, target: YankTarget): Promise<Found> {
  const { registry, name, version, key } = target
  const wanted = parseSemver(version)
  const signer = await signerOf(key)
  const place = await placeOf(gate, registry, name)
  const claim = claimOf(place)
  assertMayPublish(place, signer.principal, now())
  const versions = place.view?.versions ?? []
  const entry = versions.find(candidate => candidate.version === wanted)
  if (entry === undefined) {
    throw new RegistryError('UNKNOWN_VERSION', `${shortNameOf(name)} has no version ${wanted}`, {
      tried: [`it has ${versions.map(candidate => candidate.version).join(', ')}`]
    })
  }
  return { place, signer, entry, authority: { registry: place.authority.head, package: claim.head } }
}
