import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { sign } from 'node:crypto'
import { RegistryView } from '../node/services/registry-view.ts'
import { formatDsse, IN_TOTO_TYPE, parseDsse, signedPart } from '../protocol/attest/envelope.ts'
import { predicateTypeFrom } from '../protocol/attest/predicates.ts'
import { rootSubject, statementSubjects } from '../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../protocol/attest/release-subjects.ts'
import { formatStatement, parseStatement } from '../protocol/attest/statement.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { parseScope } from '../protocol/role.ts'
import { homePaths } from '../storage/home.ts'
import { TrustRecords } from '../storage/trust-records.ts'
import { subject } from '../test/support/facts.ts'
import { nameAt } from './corpus.ts'
import { admitAll, filledHome, MANY, openGate } from './filled-home.ts'
import { signatory, Writer } from './writer.ts'
import type { Signatory, Signed } from './writer.ts'
import type { Workbench } from './workbench.ts'

/** Of each package: a bill of materials and four audits, by five keys. */
export const ATTESTATIONS = 5
const AUDITORS = Array.from({ length: ATTESTATIONS }, (_, i) => signatory(`auditor ${i}`))
const NOTES = 'looked at every file, at what it asks for and at what it is made of. '.repeat(4)

/** A data directory as that of `filledHome`, with a registry of auditors whose word is taken. */
export interface AttestedHome {
  readonly home: string
  readonly registry: RegistryId
  readonly audits: RegistryId
}

/** The first packages of a registry are attested, in a registry that the node follows for audits. */
export function attestedHome(workbench: Workbench, packages: number): Promise<AttestedHome> {
  return workbench.once(`attested-${packages}`, async folder => {
    const filled = await filledHome(workbench, MANY)
    const home = join(folder, 'home')
    await cp(filled.home, home, { recursive: true })
    const { registry } = filled
    const opened = await openGate(homePaths(home).store, registry)
    const { gate, kv, records, store, close } = opened
    try {
      const writer = new Writer('audits')
      const audits = writer.registry
      const followed = await records.registries()
      const entry = { alias: 'audits', isDefault: false, singleSource: true, swarm: 'public', made: false, order: 2 }
      await records.putRegistries([...followed, { id: audits, ...entry }])
      await new TrustRecords(kv).add({ purpose: 'audits', who: audits, time: 0 })
      await store.open(audits)
      await gate.open(audits)
      const releases: ReleaseBytes[] = []
      const view = new RegistryView(store)
      for (let index = 0; index < packages; index++) {
        const { name, versions } = await view.package(registry, subject(nameAt(index)))
        const content = versions[0]?.contents[0]
        if (versions[0] === undefined || content === undefined) throw new Error(`${name} has no version`)
        releases.push({ name, version: versions[0].version, root: content.root, digests: content.digests })
      }
      await admitAll(gate, audits, factsAbout(writer, releases))
      return { home, registry, audits }
    } finally {
      await close()
    }
  })
}

function* factsAbout(writer: Writer, releases: readonly ReleaseBytes[]): Generator<Uint8Array> {
  yield writer.genesis.bytes
  let head: Signed = writer.genesis
  let last: Signed | undefined
  for (const { did } of AUDITORS) {
    const value = { authPrev: head.id, head: null, key: did, role: 'auditor' as const, expires: null, threshold: null }
    last = writer.write(writer.root, 'registry', { type: 'grant', value: { ...value, scope: parseScope('*') } }, head)
    head = last
    yield head.bytes
  }
  for (const release of releases) {
    for (const [i, by] of AUDITORS.entries()) {
      const dsse = envelopeBy(by, release, i === 0 ? 'cyclonedx' : 'audit')
      const { payload } = parseDsse(dsse)
      const value = {
        head: head.id,
        envelope: dsse,
        keys: [by.did],
        dsse: parseDsse(dsse),
        statement: parseStatement(payload)
      }
      yield writer.write(by, rootSubject(release.root), { type: 'attestation', value }).bytes
    }
  }
}

function envelopeBy(by: Signatory, release: ReleaseBytes, type: 'audit' | 'cyclonedx'): Uint8Array {
  const components = Array.from({ length: 20 }, (_, i) => ({ type: 'library', name: `part-${i}`, version: '1.0.0' }))
  const predicate =
    type === 'audit'
      ? { criteria: ['safe-to-run', 'safe-to-deploy'], result: 'pass', kind: 'full', notes: NOTES }
      : { bomFormat: 'CycloneDX', specVersion: '1.6', components }
  const payload = formatStatement({
    subjects: statementSubjects(release),
    predicateType: predicateTypeFrom(type),
    predicate
  })
  const part = { payloadType: IN_TOTO_TYPE, payload }
  const sig = new Uint8Array(sign(null, signedPart(part), by.key))
  return formatDsse({ ...part, signatures: [{ keyid: by.did, sig }] })
}
