import { verifyFact } from '../attestation/sign-fact.ts'
import { verifyAttestation } from '../attestation/verify-envelope.ts'
import { parseDsse } from '../protocol/attest/envelope.ts'
import type { DsseEnvelope } from '../protocol/attest/envelope.ts'
import { predicateTypeFrom, predicateTypesMeant, summarise } from '../protocol/attest/predicates.ts'
import { matches, packageIn } from '../protocol/attest/release-subjects.ts'
import { parseStatement } from '../protocol/attest/statement.ts'
import type { JsonObject } from '../protocol/attest/strict-json.ts'
import type { Summary } from '../protocol/attest/summary.ts'
import type { Statement } from '../protocol/attest/statement.ts'
import { toHex, utf8 } from '../protocol/bytes.ts'
import type { FactId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { packageNameOf } from '../protocol/package-name.ts'
import { importFolder } from '../storage/content/import-folder.ts'
import { readManifest } from '../storage/content/read-manifest.ts'
import { filing } from './authority-api.ts'
import { attestationsFor, searchAll, searchNamed } from './known-releases.ts'
import { meantReference } from './meant.ts'
import { auditorsRegistry, auditPredicate } from './audit.ts'
import type { NodeParts } from './parts.ts'
import { namedKeys } from './named-keys.ts'
import { sbomFormat, sbomOf } from './sbom.ts'
import { failuresThatStand } from './standing-audits.ts'
import { addTrust, removeTrust, shownTrust } from './trust.ts'
import { writeEnvelopes } from './envelope-files.ts'
import { verifyArchive } from './verify-archive.ts'
import type { Api } from './services/api.ts'
import { attest, whoseHold } from './services/attest/attester.ts'
import type { AttestOrder, Saying, Written } from './services/attest/attester.ts'
import type { AttestMethods, ShownRelease } from './services/attest/methods.ts'
import { releaseOf, shownRelease } from './services/attest/release.ts'
import type { Release } from './services/attest/release.ts'
import { verified } from './services/registry-state.ts'

/** The calls about what people say of releases. */
export function attestApi(parts: NodeParts): Pick<Api, keyof AttestMethods> {
  return {
    attest: (params, { signal }) => attestTo(parts, params, signal),
    attestations: async ({ reference, type, out }, { signal }) => {
      const { release, shown } = await releaseMeant(parts, reference)
      const wanted = type === undefined ? undefined : predicateTypesMeant(type)
      const all = await attestationsFor(parts, release, signal)
      const attestations = all.filter(one => wanted?.includes(one.predicateType) !== false)
      const files = out === undefined ? [] : await writeEnvelopes(parts, attestations, out)
      return { release: shown, attestations, files }
    },
    audit: async (params, { signal }) => {
      const { release, shown } = await releaseMeant(parts, params.reference)
      const { id, alias } = auditorsRegistry(parts, release, params.registry)
      const predicate = utf8(JSON.stringify(await auditPredicate(parts, release, params)))
      return say(
        parts,
        { shown, alias, out: params.out },
        { release, registry: id, key: params.key, saying: { type: 'audit', predicate }, signal }
      )
    },
    trustAdd: ({ what, purpose }) => addTrust(parts, what, purpose),
    trustRemove: ({ what, purpose }) => removeTrust(parts, what, purpose),
    trustList: () => shownTrust(parts),
    verifyRelease: ({ reference }, { signal }) => verifyRelease(parts, reference, signal),
    verifyEnvelope: ({ file, signers = [] }) => verifyFile(parts, file, signers),
    verifyFolder: ({ folder }, { signal }) => verifyFolder(parts, folder, signal),
    verifyArchive: ({ file }, { signal }) => verifyArchive(parts, file, signal),
    sbom: async ({ reference, format: text }) => {
      const format = sbomFormat(text)
      const { release, shown } = await releaseMeant(parts, reference)
      return { release: shown, format, document: await sbomOf(parts, release, format) }
    }
  }
}

interface MeantRelease {
  readonly release: Release
  readonly shown: ShownRelease
}

async function releaseMeant(parts: NodeParts, text: string): Promise<MeantRelease> {
  const { reference, registry } = await meantReference(parts, text)
  const view = await parts.view.package(registry.id, reference.name)
  const release = releaseOf(registry.id, view, reference.range)
  return { release, shown: shownRelease(release, registry.alias) }
}

async function attestTo(
  parts: NodeParts,
  params: AttestMethods['attest']['params'],
  signal: AbortSignal
): Promise<AttestMethods['attest']['result']> {
  const { release, shown } = await releaseMeant(parts, params.reference)
  const { id: registry, alias } = parts.registries.find(params.registry ?? release.registry)
  const saying = await sayingOf(parts, params)
  return say(parts, { shown, alias, out: params.out }, { release, registry, key: params.key, saying, signal })
}

interface Told {
  readonly shown: ShownRelease
  readonly alias: string
  readonly out: string | undefined
}

async function say(
  parts: NodeParts,
  { shown, alias, out }: Told,
  order: AttestOrder
): Promise<AttestMethods['attest']['result']> {
  const { registry } = order
  let written: Written | undefined
  const { file } = await filing(parts, out, async () => {
    written = await attest(parts.attester, order)
    return { registry, facts: [{ id: written.fact, subject: written.subject }] }
  })
  if (written === undefined) throw new RegistryError('INTERNAL', 'nothing was signed')
  const { fact, predicateType, signers, content, isNew } = written
  const standing = await failuresThatStand(parts, order.release, written)
  return { release: shown, registry, alias, fact, predicateType, signers, content, isNew, standing, file }
}

const NOTHING = utf8('{}')
const STAR = predicateTypeFrom('star')
/** The bindings of in-toto refuse a predicate without a field. */
const A_STAR = utf8('{"star":true}')

async function sayingOf({ authority }: NodeParts, params: AttestMethods['attest']['params']): Promise<Saying> {
  const { type, predicate, envelope, signers = [] } = params
  if (envelope !== undefined) {
    if (type !== undefined || predicate !== undefined)
      throw new RegistryError('USAGE', 'an envelope has its type and its predicate inside')
    return { envelope: await readBounded(authority.files, envelope, LIMITS.attest.envelopeBytes), signers }
  }
  if (type === undefined) throw new RegistryError('USAGE', 'say what kind of statement it is: --type TYPE')
  if (predicate === undefined) return { type, predicate: predicateTypeFrom(type) === STAR ? A_STAR : NOTHING }
  return { type, predicate: await readBounded(authority.files, predicate, LIMITS.attest.predicateBytes) }
}

async function readBounded(
  files: NodeParts['authority']['files'],
  path: string,
  maxBytes: number
): Promise<Uint8Array> {
  try {
    return await files.read(path, maxBytes)
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code !== 'LIMIT_EXCEEDED') throw cause
    const next = 'say what matters of it, and by URI and digest where the rest is'
    throw new RegistryError('LIMIT_EXCEEDED', cause.message, { cause, next })
  }
}

/** Attack: a disk that was changed under a node that is stopped. What was verified once is verified again, from the bytes. */
async function verifyRelease(
  parts: NodeParts,
  text: string,
  signal: AbortSignal
): Promise<AttestMethods['verifyRelease']['result']> {
  const { release, shown } = await releaseMeant(parts, text)
  const attestations = await attestationsFor(parts, release, signal)
  let signatures = 0
  const check = async (registry: Release['registry'], fact: FactId): Promise<void> => {
    const bytes = await parts.facts.get(registry, fact)
    // What is outside the set says nothing, and is marked so.
    if (bytes === undefined) return
    const envelope = parseEnvelope(bytes)
    if (envelope.id !== fact || !verifyFact(envelope))
      throw new RegistryError('BAD_SIGNATURE', `the signature of fact ${fact} does not hold`, {
        next: 'run ggen-node doctor --deep'
      })
    signatures += 1
    const { payload } = verified(envelope)
    if (payload.type !== 'attestation') return
    verifyAttestation(payload.value)
    signatures += payload.value.keys.length
  }
  await check(release.registry, release.content.fact)
  for (const { registry, fact } of attestations) await check(registry, fact)
  const { by } = release.content
  const publishers = await namedKeys(parts, [by])
  return { release: shown, by, publishers, facts: attestations.length + 1, signatures, attestations }
}

async function verifyFile(
  parts: NodeParts,
  file: string,
  named: readonly string[]
): Promise<AttestMethods['verifyEnvelope']['result']> {
  const dsse = await envelopeIn(parts, file)
  const signers = whoseHold(dsse, named)
  // Nobody reads a payload before its envelope holds.
  const statement = parseStatement(dsse.payload)
  const { predicateType, predicate, subjects } = statement
  const releases = await releasesOf(parts, statement)
  return {
    predicateType,
    subjects: subjects.map(({ name, digests }) => ({ name: name ?? null, sha256: digests.get('sha256') ?? null })),
    signers,
    publishers: await namedKeys(parts, signers),
    unknown: Math.max(0, dsse.signatures.length - signers.length),
    releases,
    summary: saidBy(predicateType, predicate)
  }
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED, in words for whoever named a file and may never have heard of envelopes */
async function envelopeIn({ authority }: NodeParts, file: string): Promise<DsseEnvelope> {
  try {
    return parseDsse(await authority.files.read(file, LIMITS.attest.fileBytes))
  } catch (cause) {
    if (!isRegistryError(cause) || !['MALFORMED', 'LIMIT_EXCEEDED'].includes(cause.code)) throw cause
    throw new RegistryError(cause.code, `${file} is neither an archive nor a signed statement that can be read`, {
      cause,
      tried: ['an archive: its first bytes are not those of one', `a DSSE envelope in JSON: ${cause.message}`],
      next: 'verify takes an archive (.tar, .tar.gz), a DSSE envelope, a package folder, or [registry:]name[@version]'
    })
  }
}

/** What a statement says whose signatures hold. @throws RegistryError MALFORMED where it is not of its kind */
function saidBy(predicateType: string, predicate: JsonObject): Summary | null {
  try {
    return summarise(predicateType, predicate) ?? null
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    const next = `docs/spec/attestation.md section 4 says what ${predicateType} holds`
    throw new RegistryError(cause.code, `the signatures hold, and it counts for nothing: ${cause.message}`, {
      cause,
      next
    })
  }
}

/** Releases that a statement is about: those that it names first, else all that are known here are looked through. */
async function releasesOf(parts: NodeParts, statement: Statement): Promise<readonly ShownRelease[]> {
  const isMeant = (release: Release): boolean => matches(statement, release)
  const named = [...new Set(statement.subjects.flatMap(({ name }) => packageIn(name) ?? []))]
  const found: ShownRelease[] = []
  for (const name of named) found.push(...(await searchNamed(parts, name, isMeant)))
  return found.length > 0 ? found : searchAll(parts, isMeant)
}

/** Reads a package folder as `publish` would, keeps nothing of it, and looks for releases of exactly these bytes. */
async function verifyFolder(
  parts: NodeParts,
  folder: string,
  signal: AbortSignal
): Promise<AttestMethods['verifyFolder']['result']> {
  const { manifest } = await readManifest(folder)
  const { root, digests } = await importFolder(folder, { put: cid => cid }, { signal })
  const name = packageNameOf('ggen', manifest.name)
  const releases = await searchNamed(parts, name, release => release.root === root)
  const { version } = manifest
  const attestations = await attestationsFor(parts, { name, version, root, digests }, signal)
  return { cid: root, sha256: toHex(digests.sha256), name, version, releases, attestations }
}
