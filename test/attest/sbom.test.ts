import { describe, expect, test } from 'vitest'
import { summarise } from '../../protocol/attest/predicates.ts'
import { toCycloneDx, toSpdx, urlOf } from '../../protocol/attest/sbom.ts'
import type { Component, Materials } from '../../protocol/attest/sbom.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { contentIdOf } from '../support/facts.ts'

function component(name: string, license: string | undefined, needs: readonly Component[] = []): Component {
  return {
    name: parsePackageName(`ggen/${name}`),
    version: parseSemver('1.2.3'),
    root: contentIdOf(name),
    digests: { sha256: new Uint8Array(32).fill(name.length), sha512: new Uint8Array(64).fill(name.length) },
    manifest: license === undefined ? {} : { license, description: `the ${name}` },
    needs: needs.map(urlOf)
  }
}

const [plain, odd, none] = [
  component('a', 'MIT'),
  component('bb', 'MIT/X11 (see LICENSE)'),
  component('ccc', undefined)
]
const itself = component('dddd', '(MIT OR Apache-2.0) AND BSD-3-Clause', [plain, odd])
const materials: Materials = {
  itself,
  others: [plain, odd, none],
  time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  tool: '1.0.0'
}
const read = (text: string) => JSON.parse(text) as Record<string, unknown>

describe('CycloneDX', () => {
  const bom = read(toCycloneDx(materials))

  test('has what the format asks for', () => {
    expect(bom).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      version: 1,
      metadata: { timestamp: '2026-01-02T03:04:05Z', component: { name: 'dddd', purl: 'pkg:ggen/dddd@1.2.3' } },
      components: [
        {
          'bom-ref': 'pkg:ggen/a@1.2.3',
          licenses: [{ expression: 'MIT' }],
          hashes: [{ alg: 'SHA-256', content: '01'.repeat(32) }, {}]
        },
        { licenses: [{ license: { name: 'MIT/X11 (see LICENSE)' } }] },
        { name: 'ccc' }
      ]
    })
    expect(bom['serialNumber']).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    )
    expect(bom['dependencies']).toEqual([
      { ref: 'pkg:ggen/dddd@1.2.3', dependsOn: ['pkg:ggen/a@1.2.3', 'pkg:ggen/bb@1.2.3'] },
      ...[plain, odd, none].map(one => ({ ref: urlOf(one), dependsOn: [] }))
    ])
    expect(bom).toHaveProperty('components.1.licenses')
    expect(bom).not.toHaveProperty('components.2.licenses')
  })

  test('is read as what it is', () => {
    const licences = ['(MIT OR Apache-2.0) AND BSD-3-Clause', 'MIT', 'MIT/X11 (see LICENSE)']
    expect(summarise('https://cyclonedx.org/bom', bom)).toEqual({
      type: 'sbom',
      format: 'cyclonedx',
      version: '1.6',
      components: 3,
      licences
    })
  })
})

describe('SPDX', () => {
  const document = read(toSpdx(materials))

  test('has what the format asks for', () => {
    expect(document).toMatchObject({
      spdxVersion: 'SPDX-2.3',
      dataLicense: 'CC0-1.0',
      SPDXID: 'SPDXRef-DOCUMENT',
      creationInfo: { created: '2026-01-02T03:04:05Z', creators: ['Tool: ggen-node-1.0.0'] },
      packages: [
        { SPDXID: 'SPDXRef-Package-0', licenseDeclared: '(MIT OR Apache-2.0) AND BSD-3-Clause', filesAnalyzed: false },
        { licenseDeclared: 'MIT' },
        { licenseDeclared: 'NOASSERTION', licenseComments: 'MIT/X11 (see LICENSE)' },
        { licenseDeclared: 'NOASSERTION' }
      ],
      relationships: [
        { relationshipType: 'DESCRIBES', relatedSpdxElement: 'SPDXRef-Package-0' },
        { relationshipType: 'DEPENDS_ON', spdxElementId: 'SPDXRef-Package-0', relatedSpdxElement: 'SPDXRef-Package-1' },
        { relationshipType: 'DEPENDS_ON', spdxElementId: 'SPDXRef-Package-0', relatedSpdxElement: 'SPDXRef-Package-2' }
      ]
    })
  })

  test('is read as what it is', () => {
    const licences = ['(MIT OR Apache-2.0) AND BSD-3-Clause', 'MIT']
    expect(summarise('https://spdx.dev/Document', document)).toEqual({
      type: 'sbom',
      format: 'spdx',
      version: '2.3',
      components: 3,
      licences
    })
  })
})

/** What validators of both formats refuse (cyclonedx-python-lib 11.12 by its JSON schema, spdx-tools 0.8.5 by its rules). */
describe('a bill of materials that other tools read', () => {
  interface Licensed {
    readonly licenses: readonly unknown[]
  }
  const both = (license: string, time = materials.time) => {
    const one = { itself: component('a', license), others: [], time, tool: '1.0.0' }
    const bom = read(toCycloneDx(one)) as { metadata: { component: Licensed; timestamp: string } }
    const document = read(toSpdx(one)) as {
      packages: readonly [Readonly<Record<string, unknown>>]
      hasExtractedLicensingInfos?: readonly unknown[]
      creationInfo: { created: string }
    }
    return { licenses: bom.metadata.component.licenses, bom, spdx: document.packages[0], document }
  }

  test.each(['Foo-1.0', '(MIT', 'MIT)', 'MIT AND', 'MIT OR Nothing-Known', 'do what you like'])(
    'calls no expression what is none: %s',
    license => {
      const { licenses, spdx, document } = both(license)
      expect(licenses).toEqual([{ license: { name: license } }])
      expect(spdx).toMatchObject({ licenseDeclared: 'NOASSERTION', licenseComments: license })
      expect(document).not.toHaveProperty('hasExtractedLicensingInfos')
    }
  )

  test('describes licences that are on no list, where it names them', () => {
    const license = 'MIT AND (LicenseRef-Own OR LicenseRef-a.b) AND LicenseRef-Own'
    const { licenses, spdx, document } = both(license)
    expect(licenses).toEqual([{ expression: license }])
    expect(spdx).toMatchObject({ licenseDeclared: license })
    expect(document.hasExtractedLicensingInfos).toMatchObject([
      { licenseId: 'LicenseRef-Own', name: 'Own' },
      { licenseId: 'LicenseRef-a.b', name: 'a.b' }
    ])
    // Those of another document it does not have, and a description of them would be made up.
    expect(both('DocumentRef-x:LicenseRef-y').spdx).toMatchObject({ licenseDeclared: 'NOASSERTION' })
  })

  test('says where the bytes are in a field that takes it', () => {
    const { spdx } = both('MIT')
    expect(spdx['downloadLocation']).toBe('NOASSERTION')
    expect(spdx['externalRefs']).toContainEqual({
      referenceCategory: 'OTHER',
      referenceType: 'ipfs',
      referenceLocator: `ipfs://${contentIdOf('a')}`
    })
  })

  test('is written whatever year its author says that it is', () => {
    for (const time of [Number.MAX_SAFE_INTEGER, 8.64e15]) {
      const { bom, document } = both('MIT', time)
      expect(bom.metadata.timestamp).toBe('9999-12-31T23:59:59Z')
      expect(document.creationInfo.created).toBe('9999-12-31T23:59:59Z')
    }
  })
})
