import { stat } from 'node:fs/promises'
import { admitKey } from '../attestation/keys.ts'
import type { VerifiedFact } from '../protocol/chains.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { writeDurably } from '../storage/durable.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import { readSmallFile } from '../storage/small-file.ts'
import type { DiskGuard } from './disk-guard.ts'
import { otherSigner } from './identity.ts'
import type { KeySigner } from './identity.ts'
import type { Registries } from './registries.ts'
import type { Gate } from './services/admit.ts'
import type { StatementSigner } from './services/attest/attester.ts'
import type { Author } from './services/author.ts'
import type { ConflictComponents } from './services/authority/conflicts.ts'
import type { CosignComponents, Located } from './services/authority/cosign.ts'
import type { Files } from './services/authority/fact-files.ts'
import type { RoleComponents } from './services/authority/roles.ts'
import type { ShowComponents } from './services/authority/show.ts'
import type { MemberSigner } from './services/swarm/signer.ts'
import type { RegistryView } from './services/registry-view.ts'

/** Everything that signing and showing who may do what uses. */
export type AuthorityComponents = RoleComponents &
  CosignComponents &
  ConflictComponents &
  ShowComponents & {
    /** What a key says beside the facts. @throws RegistryError KEY_NOT_FOUND */
    readonly memberSigner: (name: string | undefined) => Promise<MemberSigner>
    /** What a key says of bytes. @throws RegistryError KEY_NOT_FOUND */
    readonly statementSigner: (name: string | undefined) => Promise<StatementSigner>
  }

export interface AuthorityInit {
  readonly home: Home
  readonly gate: Gate
  readonly disk: DiskGuard
  readonly author: Author
  readonly signer: KeySigner
  readonly facts: FactStore
  readonly view: RegistryView
  readonly registries: Registries
  readonly announce: ConflictComponents['announce']
  readonly now: () => number
}

export function authorityComponents(init: AuthorityInit): AuthorityComponents {
  const { gate, disk, author, facts, view, registries, announce, now } = init
  return {
    gate: {
      state: registry => gate.state(registry),
      admitMany: async (envelopes, source) => {
        disk.assertWritable()
        try {
          return await gate.admitMany(envelopes, source)
        } catch (error) {
          disk.note(error)
          throw error
        }
      }
    },
    author,
    view,
    announce,
    now,
    files,
    signer: signerNamed(init),
    memberSigner: signerNamed(init),
    statementSigner: signerNamed(init),
    admitKey: key => admitKey(publicKeyOf(key)),
    envelope: (registry, id) => facts.get(registry, id),
    locate: (id, registry) => locate(facts, registry === undefined ? registries.ids : [registry], id),
    followed: () => registries.ids,
    factsBy: (registry, by) => factsBy(init, registry, by),
    packagesOf: (registry, key) => packagesOf(init, registry, key),
    digest: registry => view.digest(registry),
    count: registry => facts.head(registry).count
  }
}

/** The node's own key, or another one of the data directory by its name. */
export function signerNamed({ home, signer }: Pick<AuthorityInit, 'home' | 'signer'>) {
  return async (name: string | undefined): Promise<KeySigner> =>
    name === undefined ? signer : otherSigner(home, signer, name)
}

async function locate(facts: FactStore, registries: readonly RegistryId[], id: FactId): Promise<Located> {
  for (const registry of registries) {
    const bytes = await facts.get(registry, id)
    if (bytes !== undefined) return { registry, id, subject: parseEnvelope(bytes).body.subject }
  }
  throw new RegistryError('USAGE', `no fact ${id} is in a registry that is followed here`, {
    tried: [`looked in ${registries.length} registries`],
    next: 'ggen-node admit FILE takes facts from a file, ggen-node connect ADDRESS from a peer'
  })
}

/** What an author has said, whatever it is about, and whether it is in the set or was cut out of it. */
async function factsBy(
  { gate, facts }: AuthorityInit,
  registry: RegistryId,
  by: Principal
): Promise<readonly VerifiedFact[]> {
  const found: VerifiedFact[] = []
  for (const subject of await facts.subjectsOf(registry, by)) {
    const { set, cut } = (await gate.state(registry)?.known(subject)) ?? { set: [], cut: [] }
    found.push(...[...set, ...cut].filter(({ body }) => body.author === by))
  }
  return found
}

/** Packages of which a key is an owner or has a role of its own. */
async function* packagesOf({ view }: AuthorityInit, registry: RegistryId, key: Principal): AsyncGenerator<Subject> {
  for await (const { name, claim } of view.packages(registry)) {
    if (claim?.keys.includes(key) === true || claim?.roles.some(role => role.key === key) === true) yield name
  }
}

const files: Files = {
  async read(path, maxBytes) {
    try {
      return await readSmallFile(path, { maxBytes, followLinks: true })
    } catch (cause) {
      if (isRegistryError(cause)) throw cause
      throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read`, { cause })
    }
  },
  async replace(path, bytes) {
    try {
      await writeDurably(path, bytes, { mode: 0o644 })
    } catch (cause) {
      if (isRegistryError(cause)) throw cause
      throw new RegistryError('UNKNOWN_FILE', `${path} cannot be written`, { cause })
    }
  },
  async assertFree(path) {
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) return
    throw new RegistryError('ALREADY_EXISTS', `${path} is there already`, { next: 'choose a file that does not exist' })
  }
}
