import type { FactId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ofType } from '../../protocol/fold-versions.ts'
import type { QuarantineView, VersionView } from '../../protocol/fold-versions.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { cleanText } from '../../protocol/manifest-text.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { QuarantinePayload } from '../../protocol/payload-quarantine.ts'
import { STOPPING_ROLES } from '../../protocol/role.ts'
import { roleSince } from '../../protocol/roles.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import type { Signer } from './author.ts'
import { awaitedOf } from './authority/awaiting.ts'
import type { Awaiting } from './authority/awaiting.ts'
import { asideReason, claimOf, placeOf } from './authority/place.ts'
import type { Place } from './authority/place.ts'
import { holdingOf } from './authority/powers.ts'
import type { PublishComponents } from './publish.ts'
import type { YankTarget } from './yank.ts'

export interface QuarantineResult {
  readonly name: PackageName
  readonly version: Version
  /** Whether the version is stopped now. */
  readonly quarantined: boolean
  /** Null when the version already was as asked. */
  readonly fact: FactId | null
  /** What more owners must sign before it counts. */
  readonly awaiting: Awaiting | null
}

export interface Quarantiner {
  quarantine(target: YankTarget, reason: string): Promise<QuarantineResult>
  unquarantine(target: YankTarget): Promise<QuarantineResult>
}

type Components = Pick<PublishComponents, 'author' | 'signer' | 'now' | 'gate' | 'announce'>

/** Stops versions and lets them go. The bytes stay where they are; nobody who honours it sends them to anybody. */
export function quarantiner(components: Components): Quarantiner {
  return {
    async quarantine(target, said) {
      const reason = cleanText(said)
      if (reason.length > LIMITS.fact.reasonChars) {
        throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.fact.reasonChars} characters`)
      }
      const { place, signer, entry } = await find(components, target)
      const { version, quarantines = [] } = entry
      // What the package's people stopped, the registry may stop beside them: they could let go of theirs.
      const isSame = (one: QuarantineView): boolean => one.by === signer.principal || one.level === 'registry'
      if (quarantines.some(isSame)) return unchanged(target, entry)
      return write(components, target, {
        place,
        signer,
        payload: { type: 'quarantine', value: { version, reason, authority: cited(place) } }
      })
    },
    async unquarantine(target) {
      const { place, signer, entry } = await find(components, target)
      const { version, quarantines: standing = [] } = entry
      if (standing.length === 0) return unchanged(target, entry)
      assertMayLift(place, signer, target, standing)
      const quarantines = standing.map(({ fact }) => fact).toSorted()
      const payload = { type: 'unquarantine', value: { version, quarantines, authority: cited(place) } } as const
      return write(components, target, { place, signer, payload })
    }
  }
}

/** Refuses before anything is signed what the fold would set aside. */
function assertMayLift(
  { authority }: Place,
  { principal: key }: Signer,
  { name, version }: YankTarget,
  standing: readonly QuarantineView[]
): void {
  if (standing.some(({ level }) => level === 'package')) return
  if (roleSince(authority, { key, roles: STOPPING_ROLES, on: name, head: authority.head }) !== undefined) return
  const short = `${shortNameOf(name)}@${version}`
  throw new RegistryError(
    'NOT_AUTHORIZED',
    `the registry has stopped ${short}: the package's own people cannot lift that`,
    {
      tried: standing.map(({ by, reason }) => `by ${by}: ${reason}`),
      next: 'ask a curator or an owner of the registry'
    }
  )
}

function unchanged({ name }: YankTarget, { version, quarantines = [] }: VersionView): QuarantineResult {
  return { name, version, quarantined: quarantines.length > 0, fact: null, awaiting: null }
}

function cited(place: Place): { readonly registry: FactId; readonly package: FactId } {
  return { registry: place.authority.head, package: claimOf(place).head }
}

interface Found {
  readonly place: Place
  readonly signer: Signer
  readonly entry: VersionView
}

async function write(
  { author, gate, announce }: Components,
  { registry, name, version: text }: YankTarget,
  { place, signer, payload }: Pick<Found, 'place' | 'signer'> & { readonly payload: QuarantinePayload }
): Promise<QuarantineResult> {
  const version = parseSemver(text)
  let id = awaitedSame(place, signer, payload)
  if (id === undefined) {
    const fact = await author.write(registry, name, payload, { signer })
    announce(registry, fact)
    id = fact.id
  }
  const awaiting = await awaitedOf(gate, registry, { subject: name, ids: [id] })
  const now = await placeOf(gate, registry, name)
  const entry = now.view?.versions.find(one => one.version === version)
  return { name, version, quarantined: (entry?.quarantines ?? []).length > 0, fact: id, awaiting }
}

/** What this key signed before to the same end, and what still waits for others. */
function awaitedSame(place: Place, { principal }: Signer, { type, value }: QuarantinePayload): FactId | undefined {
  return ofType(place.facts, type).find(
    ({ id, body, payload }) =>
      body.author === principal &&
      payload.value.version === value.version &&
      asideReason(place, id) === 'threshold-not-met'
  )?.id
}

/** @throws RegistryError NOT_AUTHORIZED | UNKNOWN_VERSION | UNKNOWN_PACKAGE */
async function find({ gate, signer: signerOf, now }: Components, target: YankTarget): Promise<Found> {
  const { registry, name, version, key } = target
  const wanted = parseSemver(version)
  const signer = await signerOf(key)
  const place = await placeOf(gate, registry, name)
  claimOf(place)
  const holding = holdingOf(place, { key: signer.principal, roles: STOPPING_ROLES, on: name }, now())
  if (holding !== 'held') {
    const why = holding === 'expired' ? ': its role has expired' : ''
    throw new RegistryError('NOT_AUTHORIZED', `this key may not stop ${shortNameOf(name)}${why}`, {
      tried: [`looked for one of the roles ${STOPPING_ROLES.join(', ')} for ${signer.principal}`],
      next: 'ask a curator or an owner of the registry'
    })
  }
  const versions = place.view?.versions ?? []
  const entry = versions.find(candidate => candidate.version === wanted)
  if (entry !== undefined) return { place, signer, entry }
  throw new RegistryError('UNKNOWN_VERSION', `${shortNameOf(name)} has no version ${wanted}`, {
    tried: [`it has ${versions.map(candidate => candidate.version).join(', ')}`]
  })
}
