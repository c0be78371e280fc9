import { createHash, createPrivateKey, sign } from 'node:crypto'
import { join } from 'node:path'
import { initHome } from '../node/home.ts'
import { Gate } from '../node/services/admit.ts'
import { factIdOf } from '../protocol/cid.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { encodeBody, encodeEnvelope, signedBytes } from '../protocol/fact.ts'
import type { FactBody, Subject } from '../protocol/fact.ts'
import { parseGgenName } from '../protocol/package-name.ts'
import { encodePayload } from '../protocol/payload.ts'
import type { Payload } from '../protocol/payload.ts'
import { parseSemver } from '../protocol/version.ts'
import { FactStore } from '../storage/fact-store.ts'
import { homePaths } from '../storage/home.ts'
import { openLevel } from '../storage/level-key-value.ts'
import { Records } from '../storage/records.ts'
import { contentIdOf, person, subject } from '../test/support/facts.ts'
import type { Workbench } from './workbench.ts'

/** The releases of the large registry; each is of a package of its own, so there is a claim for each too. */
export const MANY = 10_000

/** A registry with one signed release each of so many packages. */
export interface Corpus {
  readonly registry: RegistryId
  /** Genesis, then claim and release of each package. */
  readonly facts: readonly Uint8Array[]
}

/** `package-00042`: the names of a corpus in their order. */
export function nameAt(index: number): string {
  return `package-${String(index).padStart(5, '0')}`
}

const ROOT = person('bench')
// The signatures are those of attestation/keys.ts (Ed25519 has one for each message) and cost a tenth of the time.
const SIGNING_KEY = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), ROOT.secret]),
  format: 'der',
  type: 'pkcs8'
})

/** Signs the facts of a registry of so many packages; the same in every run. */
export function makeCorpus(packages: number): Corpus {
  const genesis = signed(null, 'registry', {
    type: 'genesis',
    value: {
      name: 'bench',
      roots: [ROOT.did],
      threshold: 1,
      recovery: person('bench recovery').did,
      admission: 'curated',
      visibility: 'public',
      nonce: new Uint8Array(16)
    }
  })
  const registry = genesis.id as string as RegistryId
  const facts = [genesis.bytes]
  for (let index = 0; index < packages; index++) {
    const about = subject(nameAt(index))
    const value = { authPrev: genesis.id, keys: [ROOT.did], threshold: 1 }
    const claim = signed(registry, about, { type: 'claim', value })
    const release = signed(registry, about, releaseOf(index, genesis.id, claim.id), claim.id)
    facts.push(claim.bytes, release.bytes)
  }
  return { registry, facts }
}

function releaseOf(index: number, genesis: FactId, claim: FactId): Payload {
  const name = nameAt(index)
  const sha256 = new Uint8Array(createHash('sha256').update(name).digest())
  const sha512 = new Uint8Array(createHash('sha512').update(name).digest())
  const version = parseSemver(`1.${index % 100}.0`)
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
  const authority = { registry: genesis, package: claim }
  return { type: 'release', value: { version, manifest, root: contentIdOf(name), size: 4_096, digests, authority } }
}

interface Signed {
  readonly id: FactId
  readonly bytes: Uint8Array
}

function signed(registry: RegistryId | null, about: Subject, payload: Payload, prev: FactId | null = null): Signed {
  const body: FactBody = {
    v: 1,
    type: payload.type,
    registry,
    subject: about,
    author: ROOT.did,
    chain: ROOT.chain,
    seq: prev === null ? 0 : 1,
    prev,
    time: 1_700_000_000_000,
    payload: encodePayload(payload)
  }
  const bodyBytes = encodeBody(body)
  const signature = new Uint8Array(sign(null, signedBytes(body.type, bodyBytes), SIGNING_KEY))
  return { id: factIdOf(bodyBytes), bytes: encodeEnvelope(bodyBytes, signature) }
}

/** A gate over a level store in a folder. */
export interface OpenedGate {
  readonly gate: Gate
  readonly store: FactStore
  readonly records: Records
  readonly close: () => Promise<void>
}

/** Opens the real gate over the real store for one registry. */
export async function openGate(folder: string, registry: RegistryId): Promise<OpenedGate> {
  const kv = await openLevel(folder)
  const store = new FactStore(kv)
  await store.open(registry)
  const gate = new Gate({ store, mayAsk: () => true })
  await gate.open(registry)
  return { gate, store, records: new Records(kv), close: () => kv.close() }
}

/** Admits everything and makes sure that everything was accepted. */
export async function admitAll(gate: Gate, { registry, facts }: Corpus): Promise<void> {
  const verdicts = await gate.admitMany(facts, { peer: 'bench', registry })
  const refused = verdicts.find(({ verdict }) => verdict !== 'accept')
  if (refused !== undefined) throw new Error(`a fact was not accepted: ${JSON.stringify(refused)}`)
}

/** A data directory that holds `MANY` releases, made once for the run. Readers must leave it as it is. */
export function filledHome(workbench: Workbench): Promise<{ home: string; registry: RegistryId }> {
  return workbench.once('filled', async folder => {
    const home = join(folder, 'home')
    await initHome(home)
    const corpus = makeCorpus(MANY)
    const { gate, records, close } = await openGate(homePaths(home).store, corpus.registry)
    try {
      await records.putRegistries([{ id: corpus.registry, alias: 'bench', isDefault: true, singleSource: false }])
      await admitAll(gate, corpus)
    } finally {
      await close()
    }
    return { home, registry: corpus.registry }
  })
}
