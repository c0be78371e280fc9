import { equalBytes, toHex } from '../protocol/bytes.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { packageNameOf } from '../protocol/package-name.ts'
import type { PackageName } from '../protocol/package-name.ts'
import type { Version } from '../protocol/version.ts'
import { importFolder } from '../storage/content/import-folder.ts'
import { readManifest } from '../storage/content/read-manifest.ts'
import { withArchive } from './archives.ts'
import type { OpenedArchive } from './archives.ts'
import { attestationsFor, searchAll, searchNamed } from './known-releases.ts'
import type { NodeParts } from './parts.ts'
import type { AttestMethods } from './services/attest/methods.ts'
import type { Release } from './services/attest/release.ts'

type Verified = AttestMethods['verifyArchive']['result']

/** Says what an archive of others holds and which release that is. Nothing of it stays here. */
export function verifyArchive(parts: NodeParts, file: string, signal: AbortSignal): Promise<Verified> {
  return withArchive(parts, { file, signal }, archive => verified(parts, archive, signal))
}

async function verified(parts: NodeParts, archive: OpenedArchive, signal: AbortSignal): Promise<Verified> {
  // As of an installed folder: what `publish` would leave out of a folder counts here, because somebody put it in.
  const read = await importFolder(archive.folder, { put: cid => cid }, { signal, isInstalled: true })
  const { root, digests, files, leftOut } = read
  const isCanonical = equalBytes(archive.sha256, digests.sha256)
  // A canonical archive holds no empty folders, a release may: its digest says as much as the root.
  const isSame = (release: Release): boolean =>
    release.root === root || (isCanonical && equalBytes(release.digests.sha256, archive.sha256))
  const manifest = await manifestIn(archive.folder)
  const named = leftOut.length > 0 || manifest === undefined ? [] : await searchNamed(parts, manifest.name, isSame)
  const releases = named.length > 0 || leftOut.length > 0 ? named : await searchAll(parts, isSame)
  const [first] = releases
  const about = first ?? manifest
  const bytes = { root: first?.cid ?? root, digests }
  const { inside } = archive
  return {
    sha256: toHex(archive.sha256),
    bytes: archive.bytes,
    files,
    inside,
    cid: root,
    canonicalSha256: toHex(digests.sha256),
    isCanonical,
    name: manifest?.name ?? null,
    version: manifest?.version ?? null,
    releases,
    attestations: about === undefined ? [] : await attestationsFor(parts, { ...about, ...bytes }, signal),
    leftOut
  }
}

/** Without a manifest it is no package, and may still be what somebody asks about. */
async function manifestIn(folder: string): Promise<{ name: PackageName; version: Version } | undefined> {
  try {
    const { manifest } = await readManifest(folder)
    return { name: packageNameOf('ggen', manifest.name), version: manifest.version }
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
