import { toHex } from '../bytes.ts'
import type { ContentId } from '../cid.ts'
import type { Manifest } from '../manifest.ts'
import { shortNameOf } from '../package-name.ts'
import { isLicence } from '../policy/licence.ts'
import { purlOf } from './release-subjects.ts'
import type { ReleaseBytes } from './release-subjects.ts'

/** One package of a bill of materials. */
export interface Component extends ReleaseBytes {
  readonly manifest: Pick<Manifest, 'description' | 'license'>
  /** What it needs, as package URLs of other components. */
  readonly needs: readonly string[]
}

/** What a bill of materials is made of: a package, everything that it needs, and when that was. */
export interface Materials {
  readonly itself: Component
  readonly others: readonly Component[]
  /** The time of the release: the same release has the same bill, whoever writes it. */
  readonly time: number
  readonly tool: string
}

/** CycloneDX 1.6 in JSON (ECMA-424). Equal materials make equal bytes. */
export function toCycloneDx({ itself, others, time, tool }: Materials): string {
  return JSON.stringify({
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(itself)}`,
    version: 1,
    metadata: {
      timestamp: dateOf(time),
      tools: { components: [{ type: 'application', name: 'ggen-node', version: tool }] },
      component: cycloneDxComponent(itself)
    },
    components: others.map(cycloneDxComponent),
    dependencies: [itself, ...others].map(one => ({ ref: urlOf(one), dependsOn: one.needs }))
  })
}

function cycloneDxComponent(one: Component): unknown {
  const { version, digests, manifest, root } = one
  const { description, license } = manifest
  return {
    type: 'library',
    'bom-ref': urlOf(one),
    name: shortNameOf(one.name),
    version,
    ...(description === undefined ? {} : { description }),
    hashes: [
      { alg: 'SHA-256', content: toHex(digests.sha256) },
      { alg: 'SHA-512', content: toHex(digests.sha512) }
    ],
    ...(license === undefined
      ? {}
      : { licenses: [isLicence(license) ? { expression: license } : { license: { name: license } }] }),
    purl: urlOf(one),
    properties: [{ name: 'ggen:root', value: root }]
  }
}

/** SPDX 2.3 in JSON. */
export function toSpdx({ itself, others, time, tool }: Materials): string {
  const all = [itself, ...others]
  const ids = new Map(all.map((one, i) => [urlOf(one), `SPDXRef-Package-${i}`]))
  const idOf = (url: string): string => ids.get(url) ?? 'NOASSERTION'
  return JSON.stringify({
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${shortNameOf(itself.name)}@${itself.version}`,
    documentNamespace: `urn:uuid:${uuidOf(itself)}`,
    creationInfo: { created: dateOf(time), creators: [`Tool: ggen-node-${tool}`] },
    documentDescribes: [idOf(urlOf(itself))],
    packages: all.map(one => spdxPackage(one, idOf(urlOf(one)))),
    ...extracted(all),
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: idOf(urlOf(itself)) },
      ...all.flatMap(one =>
        one.needs.map(need => ({
          spdxElementId: idOf(urlOf(one)),
          relationshipType: 'DEPENDS_ON',
          relatedSpdxElement: idOf(need)
        }))
      )
    ]
  })
}

function spdxPackage(one: Component, id: string): unknown {
  const { version, digests, manifest, root } = one
  const { description, license } = manifest
  const declared = license !== undefined && isSpdxHere(license) ? license : 'NOASSERTION'
  return {
    SPDXID: id,
    name: shortNameOf(one.name),
    versionInfo: version,
    // Where it is from is below: readers of SPDX take ipfs: for no location.
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    ...(description === undefined ? {} : { description }),
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: declared,
    ...(license !== undefined && declared === 'NOASSERTION' ? { licenseComments: license } : {}),
    copyrightText: 'NOASSERTION',
    checksums: [
      { algorithm: 'SHA256', checksumValue: toHex(digests.sha256) },
      { algorithm: 'SHA512', checksumValue: toHex(digests.sha512) }
    ],
    externalRefs: [
      { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: urlOf(one) },
      { referenceCategory: 'OTHER', referenceType: 'ipfs', referenceLocator: `ipfs://${root}` }
    ]
  }
}

/** Whether a licence can be said in this document: the licences of another one would have to be described there. */
function isSpdxHere(license: string): boolean {
  return isLicence(license) && !license.includes('DocumentRef-')
}

const OWN_LICENCE = /LicenseRef-[A-Za-z0-9.-]+/g

/** Licences that no list has must be described in the document that names them; all that a manifest says of one is its name. */
function extracted(all: readonly Component[]): object {
  const named = all.flatMap(({ manifest: { license = '' } }) =>
    isSpdxHere(license) ? (license.match(OWN_LICENCE) ?? []) : []
  )
  const infos = [...new Set(named)].toSorted().map(licenseId => ({
    licenseId,
    name: licenseId.slice('LicenseRef-'.length),
    extractedText: 'The text is in the files of the package that names it.'
  }))
  return infos.length === 0 ? {} : { hasExtractedLicensingInfos: infos }
}

export function urlOf({ name, version }: Pick<ReleaseBytes, 'name' | 'version'>): string {
  return purlOf(name, version)
}

/** The last second that both formats can write. */
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59)

/** Attack: a release from a year that no calendar has. */
function dateOf(time: number): string {
  return new Date(Math.min(Math.max(time, 0), LAST)).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** A UUID (RFC 9562, version 8) out of the archive's digest: nobody needs to roll dice for a name of what is known. */
function uuidOf({ digests }: { readonly digests: ReleaseBytes['digests']; readonly root: ContentId }): string {
  const bytes = digests.sha256.slice(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = toHex(bytes)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
