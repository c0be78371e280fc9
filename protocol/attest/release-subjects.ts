import { toHex } from '../bytes.ts'
import { digestOf } from '../cid.ts'
import type { ContentId } from '../cid.ts'
import { ecosystemOf, parsePackageName, shortNameOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import type { ArchiveDigests } from '../payload.ts'
import { digestSubjectOf } from '../subject.ts'
import type { DigestSubject } from '../subject.ts'
import type { Version } from '../version.ts'
import type { Statement, StatementSubject } from './statement.ts'

/** The bytes of one release, by all that they are known by. */
export interface ReleaseBytes {
  readonly name: PackageName
  readonly version: Version
  readonly root: ContentId
  readonly digests: Pick<ArchiveDigests, 'sha256' | 'sha512'>
}

/** Package URL types where they are not called as our ecosystems are. */
const PURL_TYPES: Readonly<Record<string, string>> = { go: 'golang' }

/** `pkg:ggen/name@1.2.3` (package-url/purl-spec): the name of a release for other tools. */
export function purlOf(name: PackageName, version: Version): string {
  const ecosystem = ecosystemOf(name)
  const path = shortNameOf(name).split('/').map(encodeURIComponent).join('/')
  return `pkg:${PURL_TYPES[ecosystem] ?? ecosystem}/${path}@${encodeURIComponent(version)}`
}

/** The package that a package URL names; undefined for anything else. */
export function packageIn(url: string | undefined): PackageName | undefined {
  const [, type, path] = /^pkg:([a-z]+)\/([^@?#]+)(?:@[^?#]*)?$/.exec(url ?? '') ?? []
  if (type === undefined || path === undefined) return undefined
  const ecosystem = Object.entries(PURL_TYPES).find(([, other]) => other === type)?.[0] ?? type
  try {
    return parsePackageName(`${ecosystem}/${path.split('/').map(decodeURIComponent).join('/')}`)
  } catch {
    // A stranger's name: what is no package of ours is none.
    return undefined
  }
}

/** The digest that our own statements are filed under: that of the block at the root. */
export function rootSubject(root: ContentId): DigestSubject {
  return digestSubjectOf(toHex(digestOf(root)))
}

/** Where statements about a release may be filed: under its root, and, made outside, under its archive. */
export function subjectsOf({ root, digests }: Pick<ReleaseBytes, 'root' | 'digests'>): readonly DigestSubject[] {
  // Of a foreign artefact of one block they are one.
  return [...new Set([rootSubject(root), digestSubjectOf(toHex(digests.sha256))])]
}

/** The subjects of a statement of ours about a release. */
export function statementSubjects({ name, version, root, digests }: ReleaseBytes): readonly StatementSubject[] {
  const archive = new Map([
    ['sha256', toHex(digests.sha256)],
    ['sha512', toHex(digests.sha512)]
  ])
  return [
    { name: purlOf(name, version), digests: archive },
    { name: `ipfs://${root}`, digests: new Map([['sha256', toHex(digestOf(root))]]) }
  ]
}

/**
 * Whether a statement is about exactly these bytes: one of its subjects has the digest of the root or of the archive, and none that
 * is called as the release is says otherwise.
 *
 * Attack: a statement with two digests, one of a harmless package and one of the package in question. Whoever compares the first
 * alone, and whoever compares the second alone, take it for two different things.
 */
export function matches({ subjects }: Pick<Statement, 'subjects'>, release: ReleaseBytes): boolean {
  const [archive, root] = statementSubjects(release)
  const ours = [archive, root].filter(one => one !== undefined)
  const isSame = (subject: StatementSubject): boolean => {
    const same = ours.filter(({ digests }) => digests.get('sha256') === subject.digests.get('sha256'))
    return same.length > 0 && same.every(one => agrees(subject, one))
  }
  const isCalledSo = ({ name }: StatementSubject): boolean => ours.some(one => one.name === name)
  return subjects.some(isSame) && subjects.every(subject => !isCalledSo(subject) || isSame(subject))
}

/** No algorithm that both know says something else. */
function agrees({ digests }: StatementSubject, known: StatementSubject): boolean {
  return [...known.digests].every(([algorithm, digest]) => (digests.get(algorithm) ?? digest) === digest)
}
