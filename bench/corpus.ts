import { createHash } from 'node:crypto'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { parseGgenName } from '../protocol/package-name.ts'
import type { CitedAuthority, Payload } from '../protocol/payload.ts'
import { parseScope } from '../protocol/role.ts'
import type { Role } from '../protocol/role.ts'
import { parseSemver } from '../protocol/version.ts'
import { contentIdOf, subject } from '../test/support/facts.ts'
import { at, Writer } from './writer.ts'
import type { Signatory, Signed } from './writer.ts'

/** Of so many packages one is owned by two keys that both must sign, and one has a publisher of its own. */
const COSIGNED_EVERY = 20
const DELEGATED_EVERY = 10

/** How large a registry is. */
export interface Shape {
  readonly packages: number
  /** Of each package. */
  readonly releases: number
}

/**
 * A registry as one that is open to others looks: the root has granted curators and publishers their roles, curators
 * give names to owners, and releases are signed by an owner, by a publisher of the registry or of the package, or by two
 * owners together, each citing the heads it was made under. Every fact counts. The same in every run.
 */
export interface Corpus {
  readonly registry: RegistryId
  /** In an order in which none waits for a later one. */
  readonly facts: () => Generator<Uint8Array, void, void>
}

/** `package-00042`: the names of a corpus in their order. */
export function nameAt(index: number): string {
  return `package-${String(index).padStart(5, '0')}`
}

/** Signs the facts of a registry of that shape. */
export function makeCorpus({ packages, releases }: Shape): Corpus {
  const writer = new Writer()
  const founding = found(writer)
  return {
    registry: writer.registry,
    facts: function* () {
      yield* founding.facts
      for (let index = 0; index < packages; index++) yield* packageFacts(writer, founding.head, index, releases)
    }
  }
}

/** What comes before all packages. */
export interface Founding {
  readonly facts: readonly Uint8Array[]
  /** The head of the registry's authority once all roles are granted. */
  readonly head: FactId
}

/** Grants curators and publishers their roles. */
export function found(writer: Writer): Founding {
  const roles: readonly (readonly [Signatory, Role])[] = [
    ...writer.curators.map(one => [one, 'curator'] as const),
    ...writer.publishers.map(one => [one, 'publisher'] as const)
  ]
  let head: Signed = writer.genesis
  const facts = [head.bytes]
  for (const [{ did: key }, role] of roles) {
    const value = { authPrev: head.id, head: null, key, role, scope: parseScope('*'), expires: null, threshold: null }
    head = writer.write(writer.root, 'registry', { type: 'grant', value }, head === writer.genesis ? undefined : head)
    facts.push(head.bytes)
  }
  return { facts, head: head.id }
}

function* packageFacts(writer: Writer, head: FactId, index: number, releases: number): Generator<Uint8Array> {
  const about = subject(nameAt(index))
  const owner = at(writer.owners, index)
  const other = at(writer.owners, index + 1)
  const isCosigned = index % COSIGNED_EVERY === 0
  const isDelegated = index % DELEGATED_EVERY === 5
  const keys = [owner.did, other.did].toSorted()
  const value = { authPrev: head, keys, threshold: isCosigned ? 2 : 1 }
  const claim = writer.write(at(writer.curators, index), about, { type: 'claim', value })
  yield claim.bytes
  let signer = index % 2 === 0 ? owner : at(writer.publishers, index)
  let authority: CitedAuthority = { registry: head, package: claim.id }
  if (isDelegated) {
    signer = at(writer.publishers, index)
    const scope = parseScope(about)
    const of = { authPrev: claim.id, head, key: signer.did, role: 'publisher' as const, scope }
    const grant = writer.write(owner, about, { type: 'grant', value: { ...of, expires: null, threshold: null } })
    authority = { registry: head, package: grant.id }
    yield grant.bytes
  }
  let last: Signed | undefined
  let lastCosign: Signed | undefined
  for (let release = 0; release < releases; release++) {
    last = writer.write(signer, about, releaseOf(index, release, authority), last)
    yield last.bytes
    if (!isCosigned) continue
    lastCosign = writer.write(other, about, { type: 'cosign', value: { fact: last.id, head } }, lastCosign)
    yield lastCosign.bytes
  }
}

function releaseOf(index: number, release: number, authority: CitedAuthority): Payload {
  const name = nameAt(index)
  const version = parseSemver(`1.${release}.${index % 100}`)
  const content = `${name} ${version}`
  const sha256 = new Uint8Array(createHash('sha256').update(content).digest())
  const sha512 = new Uint8Array(createHash('sha512').update(content).digest())
  // About as much text as a package of the sample marketplace has.
  const manifest = {
    kind: 'package' as const,
    name: parseGgenName(name),
    version,
    title: `Package number ${index}`,
    description: `The description of package ${index}, which is about as long as descriptions are in the marketplace`,
    license: 'MIT',
    authors: ['ggen-node contributors'],
    keywords: ['bench', 'ontology', `group-${index % 50}`],
    dependencies: [],
    executables: []
  }
  const digests = { sha256, sha512, archiveBytes: 10_240 }
  return { type: 'release', value: { version, manifest, root: contentIdOf(content), size: 4_096, digests, authority } }
}
