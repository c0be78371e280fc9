import type { Authority } from '../../protocol/authority.ts'
import { compareText, equalBytes } from '../../protocol/bytes.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { Manifest, Note } from '../../protocol/manifest.ts'
import { packageNameOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { encodeContent } from '../../protocol/payload.ts'
import type { ArchiveDigests, CitedAuthority, Payload, ReleaseContent } from '../../protocol/payload.ts'
import { NAMING_ROLES, PUBLISHING_ROLES } from '../../protocol/role.ts'
import { roleSince } from '../../protocol/roles.ts'
import type { Version } from '../../protocol/version.ts'
import type { AuthoredFact } from './author.ts'

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
  /** Blocks are durable when it returns. */
  importFolder(folder: string, options: { readonly signal: AbortSignal }): Promise<ImportedContent>
}

export interface PublishComponents {
  readonly author: {
    readonly principal: Principal
    write(registry: RegistryId, subject: Subject, payload: Payload): Promise<AuthoredFact>
  }
  readonly gate: {
    state(
      registry: RegistryId
    ):
      | { readonly authority: Authority | undefined; factsOf(subject: Subject): Promise<readonly VerifiedFact[]> }
      | undefined
  }
  readonly view: { find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined> }
  readonly content: ContentSource
  /** Tells the network, after everything is durable. Never fails a publish. */
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly provide: (root: ContentId) => void
}

export interface Published {
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
}

export type Publish = (registry: RegistryId, folder: string, signal: AbortSignal) => Promise<Published>

/**
 * Publishes a folder. The order is what makes a crash harmless: bytes, then the facts that refer to them with their
 * views, then the announcement. A crash after the bytes leaves unreferenced blocks; after the claim, a name without
 * versions; after the release, a release that catch-up announces.
 *
 * Folders are read side by side; what to sign is decided one call after the other, in the order of the calls. Otherwise
 * two calls would both give out a new name, or put two contents under one version: a conflict of our own making.
 */
export function publisher(components: PublishComponents): Publish {
  let last: Promise<unknown> = Promise.resolve()
  return async (registry, folder, signal) => {
    const turn = last
    const { promise: done, resolve: end } = Promise.withResolvers<void>()
    last = turn.then(() => done)
    try {
      const prepared = await prepare(components, registry, folder, signal)
      await turn
      signal.throwIfAborted()
      return await sign(components, registry, prepared)
    } finally {
      end()
    }
  }
}

interface Prepared {
  readonly name: PackageName
  readonly release: ReleaseContent
  readonly report: Pick<Published, 'files' | 'bytes' | 'notes' | 'leftOut'>
}

/** Reads and checks the folder and makes its blocks durable. */
async function prepare(
  { author, gate, view, content }: PublishComponents,
  registry: RegistryId,
  folder: string,
  signal: AbortSignal
): Promise<Prepared> {
  const { manifest: read, notes } = await content.readManifest(folder)
  const name = packageNameOf('ggen', read.name)
  assertMayPublish(authorityOf(gate, registry), await view.find(registry, name), author.principal, name)
  const { leftOut, files, root, size, digests, ...imported } = await content.importFolder(folder, { signal })
  const executables = [...new Set([...read.executables, ...imported.executables])].toSorted(compareText)
  const release: ReleaseContent = { manifest: { ...read, executables }, root, size, digests }
  return { name, release, report: { files, bytes: size, notes, leftOut } }
}

/** Signs what the registry, as it is now, needs to hold the release. */
async function sign(
  { author, gate, view, announce, provide }: PublishComponents,
  registry: RegistryId,
  { name, release, report }: Prepared
): Promise<Published> {
  const authority = authorityOf(gate, registry)
  const before = await view.find(registry, name)
  assertMayPublish(authority, before, author.principal, name)
  const { version } = release.manifest
  const published = { ...report, name, version, cid: release.root }
  const known = findSame(before, release)
  if (known !== undefined) return { ...published, fact: known, already: true }
  const claim = before?.claim?.fact ?? (await writeClaim())
  const cited: CitedAuthority = { registry: authority.head, package: claim }
  const fact = await author.write(registry, name, { type: 'release', value: { ...release, version, authority: cited } })
  announce(registry, fact)
  provide(release.root)
  return { ...published, fact: fact.id, already: false }

  async function writeClaim(): Promise<FactId> {
    const value = { authPrev: authority.head, keys: [author.principal], threshold: 1 }
    const fact = await author.write(registry, name, { type: 'claim', value })
    announce(registry, fact)
    return fact.id
  }
}

/** @throws RegistryError UNKNOWN_REGISTRY | PENDING */
export function authorityOf(gate: PublishComponents['gate'], registry: RegistryId): Authority {
  const state = gate.state(registry)
  if (state === undefined) throw new RegistryError('UNKNOWN_REGISTRY', `registry ${registry} is not followed here`)
  if (state.authority !== undefined) return state.authority
  throw new RegistryError('PENDING', 'the genesis of the registry has not arrived yet', {
    next: 'connect to a peer that follows it: ggen-node connect ADDRESS'
  })
}

/** Refuses before any byte is stored what the fold would set aside. @throws RegistryError NOT_AUTHORIZED */
export function assertMayPublish(
  authority: Authority,
  view: PackageView | undefined,
  key: Principal,
  name: PackageName
): void {
  const claim = view?.claim ?? null
  const roles = claim === null ? NAMING_ROLES : PUBLISHING_ROLES
  if (claim?.keys.includes(key) === true) return
  if (roleSince(authority, { key, roles, on: name, head: authority.head }) !== undefined) return
  const what = claim === null ? `give out the name ${shortNameOf(name)}` : `publish ${shortNameOf(name)}`
  throw new RegistryError('NOT_AUTHORIZED', `this key may not ${what} in registry ${authority.genesis.name}`, {
    tried: [`looked for one of the roles ${roles.join(', ')} for ${key}`],
    next:
      claim === null
        ? `ask for the name: ggen-node submit ${shortNameOf(name)}`
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
