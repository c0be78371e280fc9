import { open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ApiMethods } from '../../node/services/api.ts'
import type { ShownAttestation, ShownRelease } from '../../node/services/attest/methods.ts'
import { signerFrom } from '../../node/key-ring.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { kindOf } from '../../protocol/foreign/kind.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { attestationLines, releaseText, summaryLine } from './attest-text.ts'
import { countOf, print, report, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, listOption, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node attest`. */
export async function attest(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    ...signingParams(options),
    reference: argument(args, 0),
    ...textParam(options, 'type'),
    ...textParam(options, 'registry'),
    ...pathParam(options, 'predicate'),
    ...pathParam(options, 'envelope'),
    signers: await signersIn(options)
  }
  reportSaid(session, await withNode(session, { network: false }, client => client.call('attest', params)))
}

/** `ggen-node audit` of a release. */
export async function audit(session: Session, args: readonly string[], options: Options): Promise<void> {
  if (options['fix'] === true) throw new RegistryError('USAGE', '--fix is about a project: leave the reference out')
  const params = {
    ...signingParams(options),
    reference: argument(args, 0),
    criteria: listOption(options, 'criteria'),
    failed: options['failed'] === true,
    ...textParam(options, 'registry'),
    ...textParam(options, 'from'),
    ...textParam(options, 'notes'),
    ...textParam(options, 'report')
  }
  reportSaid(session, await withNode(session, { network: false }, client => client.call('audit', params)))
}

function reportSaid(session: Session, result: ApiMethods['attest']['result']): void {
  const { release, alias, predicateType, fact, content, isNew, standing, file } = result
  const said = `${releaseText(release)}  ${predicateType}  in ${safe(alias)}`
  report(session, result, () => [
    gutter(isNew ? 'Attested' : 'Unchanged', said, isNew ? 'done' : 'same'),
    under(fact),
    ...(content === null ? [] : [under(`the predicate is content of its own: ${content}`)]),
    ...standing.flatMap(one => standingLines(result, one)),
    ...fileLines(file)
  ])
}

type Said = ApiMethods['attest']['result']

/** What somebody who passes something does not take back by it, and what would. */
export function standingLines(
  { release, registry, fact, signers }: Pick<Said, 'fact' | 'registry' | 'release' | 'signers'>,
  one: Said['standing'][number]
): readonly string[] {
  const { alias, isOfThisDirectory } = one
  const where = safe(alias)
  // A fact of another registry is none that this one could keep.
  const isHere = registry === one.registry
  return [
    gutter(
      'Stands',
      `the same key found ${releaseText(release)} to be bad before, in ${where}: that is heard, and not this`,
      'note'
    ),
    under(one.fact),
    ...(isOfThisDirectory
      ? [nextStep(`say it where that was said: --registry ${where}`)]
      : [
          under('it was said from another data directory, and only what is said from there takes it back'),
          nextStep('audit it again there'),
          nextStep(
            `where it is lost: an owner of ${where} takes the roles of the key away and names all of its facts that stay, ${isHere ? 'this one and ' : ''}what made the next key an owner or auditor among them: ggen-node role revoke ${signers[0] ?? 'KEY'} --registry ${where} --compromised --keep ${isHere ? `${fact} ` : ''}FACT`
          ),
          nextStep(
            'then audit with another key that may speak there, and have it followed: ggen-node trust add KEY --for audits'
          )
        ])
  ]
}

/** `ggen-node attestations`. */
export async function attestations(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { reference: argument(args, 0), ...textParam(options, 'type'), ...pathParam(options, 'out') }
  const result = await withNode(session, { network: false }, client => client.call('attestations', params))
  report(session, result, () => [
    headText(result.release),
    ...saidLines(result.attestations),
    ...result.files.map(file => gutter('Wrote', safe(file)))
  ])
}

/** `ggen-node sbom`: the document and nothing else, so that it can be piped and signed. */
export async function sbom(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { reference: argument(args, 0), format: textOption(options, 'format') ?? 'cyclonedx' }
  const { document } = await withNode(session, { network: false }, client => client.call('sbom', params))
  print(document)
}

/** `ggen-node verify` of a folder, a file or a reference. */
export async function verifyWhat(session: Session, what: string, options: Options): Promise<void> {
  const path = resolve(what)
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) return verifyFolder(session, path)
  if (found?.isFile() === true)
    return (await isArchive(path)) ? verifyArchive(session, path) : verifyFile(session, path, options)
  if (/^\.{0,2}\//.test(what)) throw new RegistryError('UNKNOWN_FILE', `${what} does not exist`)
  return verifyReference(session, what)
}

async function verifyReference(session: Session, reference: string): Promise<void> {
  const result = await withNode(session, { network: false }, client => client.call('verifyRelease', { reference }))
  const { release, by, publishers, signatures, attestations: said } = result
  report(session, result, () => [
    gutter(
      'Verified',
      `${releaseText(release)}  ${countOf(signatures, 'signature')} ${signatures === 1 ? 'holds' : 'hold'}`
    ),
    under(release.cid),
    under(`released by ${keyText(by, publishers)}`),
    ...saidLines(said)
  ])
}

async function verifyFile(session: Session, file: string, options: Options): Promise<void> {
  const params = { file, signers: await signersIn(options) }
  const result = await withNode(session, { network: false }, client => client.call('verifyEnvelope', params))
  report(session, result, () => envelopeLines(file, result))
}

function envelopeLines(file: string, result: ApiMethods['verifyEnvelope']['result']): readonly string[] {
  const { predicateType, signers, publishers, subjects, releases, summary, unknown } = result
  return [
    gutter('Verified', `${safe(file)}  ${predicateType}`),
    ...signers.map(key => under(`signed by ${keyText(key, publishers)}`)),
    ...(unknown === 0 ? [] : [under(`${countOf(unknown, 'other signature')}, by nobody known`)]),
    ...(summary === null ? [] : [under(summaryLine(summary))]),
    ...subjects
      .slice(0, 8)
      .map(({ name, sha256 }) => under(`about ${safe(name ?? 'something')} ${sha256 ?? 'without sha256'}`)),
    ...releases.map(release => gutter('Is', `${releaseText(release)} in ${safe(release.alias)}`)),
    ...(releases.length === 0
      ? [gutter('Unknown', 'no release that is known here is made of these bytes', 'note')]
      : [])
  ]
}

async function verifyFolder(session: Session, folder: string): Promise<void> {
  const result = await withNode(session, { network: false }, client =>
    client.call('verifyFolder', { folder }, { signal: session.signal })
  )
  const { cid, sha256, name, version, releases, attestations: said } = result
  report(session, result, () => [
    gutter('Read', `${shortOf(name)}@${version}`),
    under(cid),
    under(`sha256 ${sha256}`),
    ...releases.map(release => gutter('Is', `${releaseText(release)} in ${safe(release.alias)}`)),
    ...(releases.length === 0
      ? [gutter('Differs', 'no release that is known here is made of these bytes', 'bad')]
      : []),
    ...saidLines(said)
  ])
  if (releases.length === 0) process.exitCode = DIFFERS
}

/** By its first bytes: what an archive of a kind that is not read is, is told by whoever reads archives. */
async function isArchive(path: string): Promise<boolean> {
  const handle = await open(path).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${path} can't be read`, { cause })
  })
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LIMITS.foreign.sniffedBytes), 0, undefined, 0)
    return kindOf(buffer.subarray(0, bytesRead)).kind !== 'unknown'
  } finally {
    await handle.close()
  }
}

async function verifyArchive(session: Session, file: string): Promise<void> {
  const result = await withNode(session, { network: false }, client =>
    client.call('verifyArchive', { file }, { signal: session.signal })
  )
  const { cid, sha256, canonicalSha256, isCanonical, files, inside, releases, leftOut } = result
  const name = result.name === null ? 'no package' : `${shortOf(result.name)}@${result.version ?? ''}`
  report(session, result, () => [
    gutter('Read', `${safe(name)}  ${countOf(files, 'file')}${inside === null ? '' : ` in ${safe(inside)}/`}`),
    under(cid),
    under(`sha256 ${sha256}${isCanonical ? ', the canonical archive' : ''}`),
    ...(isCanonical ? [] : [under(`of the canonical archive of these files: ${canonicalSha256}`)]),
    ...leftOut.map(path => gutter('Strange', `${safe(path)} can be in no package`, 'bad')),
    ...releases.map(release => gutter('Is', `${releaseText(release)} in ${safe(release.alias)}`)),
    ...(releases.length === 0
      ? [gutter('Differs', 'no release that is known here is made of these files', 'bad')]
      : []),
    ...saidLines(result.attestations)
  ])
  if (releases.length === 0) process.exitCode = DIFFERS
}

/** As of LOCALLY_MODIFIED. */
const DIFFERS = 4

function headText(release: ShownRelease): string {
  return `${releaseText(release)}  ${release.cid}`
}

function saidLines(said: readonly ShownAttestation[]): readonly string[] {
  return said.length === 0
    ? [gutter('Nothing', 'is said of it in the registries that are followed', 'same')]
    : said.toSorted((a, b) => a.time - b.time).flatMap(attestationLines)
}

function shortOf(name: string): string {
  return name.replace(/^ggen\//, '')
}

/** Read here: a daemon need not see the files of whoever asks it. */
async function signersIn(options: Options): Promise<readonly string[]> {
  return Promise.all(listOption(options, 'signer').map(signerFrom))
}

/** A path as the daemon, which has a folder of its own, needs it. */
function pathParam<K extends string>(options: Options, name: K): { readonly [P in K]?: string } {
  const value = textOption(options, name)
  return value === undefined ? {} : ({ [name]: resolve(value) } as { readonly [P in K]?: string })
}
