import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'
import { parsePackageName } from './package-name.ts'
import type { PackageName } from './package-name.ts'

/**
 * Bytes that somebody says something of, named by their digest. It stands in no ecosystem, so it never is a package:
 *
 *   digest-subject = "sha256/" 64( "0"-"9" / "a"-"f" )
 */
export type DigestSubject = Brand<string, 'DigestSubject'>

/** What a fact is about: the registry itself, one package of it, or bytes, wherever they come from. */
export type Subject = 'registry' | PackageName | DigestSubject

const PREFIX = 'sha256/'
const DIGEST_SUBJECT = /^sha256\/[0-9a-f]{64}$/

export function isDigestSubject(subject: string): subject is DigestSubject {
  return subject.startsWith(PREFIX)
}

export function isPackage(subject: Subject): subject is PackageName {
  return subject !== 'registry' && !isDigestSubject(subject)
}

/** The subject of what is said about bytes. `sha256` in lower-case hexadecimal. @throws RegistryError MALFORMED */
export function digestSubjectOf(sha256: string): DigestSubject {
  return parseDigestSubject(`${PREFIX}${sha256}`)
}

/** @throws RegistryError MALFORMED */
export function parseDigestSubject(text: string): DigestSubject {
  if (!DIGEST_SUBJECT.test(text)) throw new RegistryError('MALFORMED', 'not the digest of anything')
  return text as DigestSubject
}

/** The digest in hexadecimal. */
export function sha256Of(subject: DigestSubject): string {
  return subject.slice(PREFIX.length)
}

/** Any subject in its one spelling. @throws RegistryError MALFORMED | INVALID_NAME */
export function parseAnySubject(text: string): Subject {
  if (text === 'registry') return text
  return isDigestSubject(text) ? parseDigestSubject(text) : parsePackageName(text)
}
