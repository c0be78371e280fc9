import { compareText, equalBytes } from '../../protocol/bytes.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { ofType } from '../../protocol/fold-versions.ts'
import type { Manifest, Note } from '../../protocol/manifest.ts'
import { ecosystemOf, packageNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { encodeContent } from '../../protocol/payload.ts'
import type { ArchiveDigests, CitedAuthority, ReleaseContent } from '../../protocol/payload.ts'
import { saysWords, seed } from './documents/seed.ts'
import type { Documents } from './documents/documents.ts'
import type { EditorComponents } from './documents/editor.ts'
import { NAMING_ROLES, PUBLISHING_ROLES } from '../../protocol/role.ts'
import { orderingOf } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import type { AuthoredFact, Signer } from './author.ts'
import { awaitedOf } from './authority/awaiting.ts'
import type { Awaiting } from './authority/awaiting.ts'
import { asideReason, placeOf } from './authority/place.ts'
import type { Place, PlaceGate } from './authority/place.ts'
import { holdingOf } from './authority/powers.ts'
import { shortOf } from './authority/words.ts'
import type { WriterComponents } from './authority/writer.ts'
import { saying } from './unsaid.ts'
import type { UnsaidBytes } from './unsaid.ts'

/** A folder turned into blocks. */
export interface ImportedContent {
  readonly root: ContentId
  readonly size: number
  readonly files: number
  readonly digests: ArchiveDigests
  readonly executables: readonly string[]
  readonly leftOut: readonly string[]
}

/** What publishing needs of the storage: reading a folder, and making its blocks durable. */
export interface ContentSource {
  readManifest(folder: string): Promise<{ readonly manifest: Manifest; readonly notes: readonly Note[] }>
  /** Blocks are durable when it returns, and stay for the release of a package in a registry. */
  importFolder(
    folder: string,
    options: {
      readonly registry: RegistryId
      readonly subject: PackageName
      readonly signal: AbortSignal
      /** Called when it fails, before it waits for room on a full disk. */
      readonly onFailed: () => void
    }
  ): Promise<ImportedContent & { readonly unsaid: UnsaidBytes }>
}

export interface PublishComponents {
  readonly author: Pick<WriterComponents['author'], 'write'>
  readonly signer: WriterComponents['signer']
  readonly now: () => number
  readonly gate: PlaceGate
  readonly content: ContentSource
  /** Tells the network, after everything is durable. Never fails a publish. */
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly provide: (registry: RegistryId, root: ContentId) => void
  /** A name that was given out and looks like this one. */
  readonly taken: (registry: RegistryId, name: PackageName) => Promise<PackageView | undefined>
  readonly documents: EditorComponents['documents'] & Pick<Documents, 'warm'>
}

export interface Published {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
  readonly cid: ContentId
  readonly fact: FactId
  readonly files: number
  readonly bytes: number
  readonly notes: readonly Note[]
  readonly leftOut: readonly string[]
  /** True when this very content was published before: nothing was signed. */
  readonly already: boolean
  /** The grant of the name, when this made it. */
  readonly claim: FactId | null
  /** What the manifest newly says about the package, beside what people say of it. Null: nothing. */
  readonly metadata: FactId | null
  /** What more owners must sign before the version counts. */
  readonly awaiting: Awaiting | null
}

/** Where a package goes whose publisher did not say it. */
export type ChooseRegistry = (manifest: Manifest) => Promise<RegistryId>

export interface PublishRequest {
  readonly registry: RegistryId | ChooseRegistry
  readonly folder: string
  /** Another key of the data directory. */
  readonly key?: string | undefined
  /** A new name may look like one of somebody else. */
  readonly allowSimilar?: boolean | undefined
}

export type Publish = (request: PublishRequest, signal: AbortSignal) => Promise<Published>

/**
 * Publishes a folder. The order is what makes a crash harmless: bytes, then the facts that refer to them with their
 * views, then the announcement. A crash after the bytes leaves blocks that nothing names, which the next start unpins as a
 * failure does at once; after the claim, a name without versions; after the release, a release that reconciliation announces.
 *
 * Folders are read side by side; what to sign is decided one call after the other, in the order of the calls. Otherwise
 * two calls would both give out a new name, or put two contents under one version: a conflict of our own making.
 */
export function publisher(components: PublishComponents): Publish {
  let last: Promise<unknown> = Promise.resolve()
  return async (request, signal) => {
    const turn = last
    const { promise: done, resolve: end } = Promise.withResolvers<void>()
    last = turn.then(() => done)
    try {
      const signer = await components.signer(request.key)
      const prepared = await prepare(components, { ...request, signer, onFailed: end }, signal)
      return await saying(prepared.unsaid, async () => {
        try {
          await turn
          signal.throwIfAborted()
          return await sign(components, signer, { ...prepared, allowSimilar: request.allowSimilar === true })
        } finally {
          // On a full disk a collection is waited for now: nobody else's turn does.
          end()
        }
      })
    } finally {
      end()
    }
  }
}

interface Prepared {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly release: ReleaseContent
  readonly report: Pick<Published, 'files' | 'bytes' | 'notes' | 'leftOut'>
  readonly unsaid: UnsaidBytes
}

interface Signing extends PublishRequest {
  readonly signer: Signer
  readonly onFailed: () => void
}

/** Reads and checks the folder and makes its blocks durable. */
async function prepare(
  { gate, content, documents, now }: PublishComponents,
  { registry: wanted, folder, signer, onFailed }: Signing,
  signal: AbortSignal
): Promise<Prepared> {
  const { manifest: read, notes } = await content.readManifest(folder)
  const name = packageNameOf('ggen', read.name)
  const registry = typeof wanted === 'string' ? wanted : await wanted(read)
  assertMayPublish(await placeOf(gate, registry, name), signer.principal, now())
  if (saysWords(read)) documents.warm(signer.principal)
  const { leftOut, files, root, size, digests, unsaid, ...imported } = await content.importFolder(folder, {
    registry,
    subject: name,
    signal,
    onFailed
  })
  const executables = [...new Set([...read.executables, ...imported.executables])].toSorted(compareText)
  const release: ReleaseContent = { manifest: { ...read, executables }, root, size, digests }
  return { registry, name, release, report: { files, bytes: size, notes, leftOut }, unsaid }
}

/** Signs what the registry, as it is now, needs to hold the release. */
async function sign(
  components: PublishComponents,
  signer: Signer,
  { registry, name, release, report, allowSimilar }: Omit<Prepared, 'unsaid'> & { readonly allowSimilar: boolean }
): Promise<Published> {
  const { author, gate, announce, provide, now } = components
  const place = await placeOf(gate, registry, name)
  assertMayPublish(place, signer.principal, now())
  const { version } = release.manifest
  const published = { ...report, registry, name, version, cid: release.root, claim: null, metadata: null }
  const known = findSame(place.view, release) ?? findOwn(place, signer.principal, release)
  if (known !== undefined) {
    const ids = [...claimsAwaited(place, signer.principal), known]
    return {
      ...published,
      fact: known,
      already: true,
      awaiting: await awaitedOf(gate, registry, { subject: name, ids })
    }
  }
  if (place.view?.claim?.head === undefined && !allowSimilar) await assertUnlike(components, { registry, name, signer })
  const own = place.view?.claim?.head ?? claimsAwaited(place, signer.principal)[0]
  const claim = own === undefined ? await writeClaim() : null
  const cited: CitedAuthority = { registry: place.authority.head, package: own ?? claim ?? place.authority.head }
  const value = { ...release, version, authority: cited }
  const fact = await author.write(registry, name, { type: 'release', value }, { signer })
  announce(registry, fact)
  provide(registry, release.root)
  const ids = [...(own === undefined ? [] : [own]), ...(claim === null ? [] : [claim]), fact.id]
  const awaiting = await awaitedOf(gate, registry, { subject: name, ids })
  // An older line that is published later says nothing new about the package.
  const [highest] = place.view?.versions ?? []
  const isNewest = highest === undefined || orderingOf(ecosystemOf(name)).compare(version, highest.version) > 0
  const seeding = { registry, name, signer, manifest: release.manifest, before: highest?.contents[0]?.manifest }
  const { fact: metadata, notes } =
    awaiting === null && isNewest ? await seed(components, seeding) : { fact: null, notes: [] }
  return {
    ...published,
    fact: fact.id,
    already: false,
    claim,
    metadata,
    notes: [...report.notes, ...notes],
    awaiting
  }

  async function writeClaim(): Promise<FactId> {
    const claimed = { authPrev: place.authority.head, keys: [signer.principal], threshold: 1 }
    const made = await author.write(registry, name, { type: 'claim', value: claimed }, { signer })
    announce(registry, made)
    return made.id
  }
}

/**
 * Attack: a name beside one that people trust. Whoever gives out a name that looks like another one's has to mean it.
 * @throws RegistryError NAME_TAKEN
 */
async function assertUnlike(
  { taken }: PublishComponents,
  { registry, name, signer }: Pick<Prepared, 'registry' | 'name'> & { readonly signer: Signer }
): Promise<void> {
  const other = await taken(registry, name)
  const keys = other?.claim?.keys ?? []
  if (other === undefined || other.name === name || keys.includes(signer.principal)) return
  throw new RegistryError(
    'NAME_TAKEN',
    `${shortOf(name)} looks like ${shortOf(other.name)}, which is somebody else's`,
    {
      next: 'choose another name, or say --allow-similar if both are meant'
    }
  )
}

/** Grants of the name by this key that more owners of the registry must sign. */
function claimsAwaited(place: Place, key: Principal): readonly FactId[] {
  if (place.view !== undefined && place.view.claim !== null) return []
  return ofType(place.facts, 'claim')
    .filter(({ id, body }) => body.author === key && asideReason(place, id) === 'threshold-not-met')
    .map(({ id }) => id)
}

/**
 * The release by this key that says the same and waits for signatures, if any.
 * @throws RegistryError VERSION_EXISTS when one waits that says something else: signed, the two would be a conflict
 */
function findOwn(place: Place, key: Principal, release: ReleaseContent): FactId | undefined {
  const { name, version } = release.manifest
  const waiting = ofType(place.facts, 'release').filter(({ id, body, payload }) => {
    const reason = asideReason(place, id)
    const isAwaited = reason === 'threshold-not-met' || reason === 'claim-not-counted'
    return body.author === key && payload.value.version === version && isAwaited
  })
  const bytes = encodeContent(release)
  const same = waiting.find(({ payload }) => equalBytes(encodeContent(contentOf(payload.value)), bytes))
  const [other] = waiting
  if (same !== undefined || other === undefined) return same?.id
  throw new RegistryError('VERSION_EXISTS', `${name}@${version} waits for signatures with other bytes`, {
    tried: [`signed: ${other.payload.value.root}`, `this folder: ${release.root}`],
    next: 'give this content a new version number'
  })
}

function contentOf({ manifest, root, size, digests }: ReleaseContent): ReleaseContent {
  return { manifest, root, size, digests }
}

/** Refuses before any byte is stored what the fold would set aside, and roles that are over. @throws RegistryError NOT_AUTHORIZED */
export function assertMayPublish(place: Place, key: Principal, now: number): void {
  const { authority, view, subject } = place
  const claim = view?.claim ?? null
  const roles = claim === null ? NAMING_ROLES : PUBLISHING_ROLES
  const holding = holdingOf(place, { key, roles, on: subject }, now)
  if (holding === 'held') return
  const short = shortOf(subject)
  const what = claim === null ? `give out the name ${short}` : `publish ${short}`
  const why = holding === 'expired' ? ': its role has expired' : ''
  throw new RegistryError('NOT_AUTHORIZED', `this key may not ${what} in registry ${authority.genesis.name}${why}`, {
    tried: [`looked for one of the roles ${roles.join(', ')} for ${key}`],
    next:
      claim === null
        ? `ask for the name: ggen-node submit ${short}`
        : 'ask an owner of the registry for a role, or publish to your own: ggen-node init'
  })
}

/**
 * The fact that already says this, if any.
 * @throws RegistryError VERSION_EXISTS when the version has other bytes: a version is published once
 */
function findSame(view: PackageView | undefined, release: ReleaseContent): FactId | undefined {
  const existing = view?.versions.find(entry => entry.version === release.manifest.version)
  if (existing === undefined) return undefined
  const bytes = encodeContent(release)
  const same = existing.contents.find(({ manifest, root, size, digests }) =>
    equalBytes(encodeContent({ manifest, root, size, digests }), bytes)
  )
  if (same !== undefined) return same.fact
  const { name, version } = release.manifest
  throw new RegistryError('VERSION_EXISTS', `${name}@${version} was published before with other bytes`, {
    tried: existing.contents.map(content => `published: ${content.root}`).concat(`this folder: ${release.root}`),
    next: 'give this content a new version number; a published version never changes'
  })
}
