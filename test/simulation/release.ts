import { createHash } from 'node:crypto'
import { parseGgenName } from '../../protocol/package-name.ts'
import type { CitedAuthority, Release } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import { contentIdOf } from '../support/facts.ts'

/** A release whose content is a word: equal words are equal contents. */
export function releaseOf(name: string, version: string, content: string, authority: CitedAuthority): Release {
  const digest = (algorithm: string): Uint8Array => new Uint8Array(createHash(algorithm).update(content).digest())
  return {
    version: parseSemver(version),
    manifest: {
      kind: 'package',
      name: parseGgenName(name),
      version: parseSemver(version),
      dependencies: [],
      executables: []
    },
    root: contentIdOf(content),
    size: content.length,
    digests: { sha256: digest('sha256'), sha512: digest('sha512'), archiveBytes: 1_024 },
    authority
  }
}
