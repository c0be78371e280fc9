import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryError } from '../../protocol/errors.ts'
import { parseManifestRecord, toManifestRecord } from '../../protocol/manifest.ts'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { readManifest } from '../../storage/content/read-manifest.ts'
import type { FolderManifest } from '../../storage/content/read-manifest.ts'
import { hasShared, marketplace, MemoryBlocks, packs } from '../content/support.ts'

interface Outcome {
  readonly folder: string
  readonly result: FolderManifest | RegistryError
}

async function tryAll(base: string): Promise<readonly Outcome[]> {
  const entries = await readdir(base, { withFileTypes: true })
  return Promise.all(
    entries
      .filter(entry => entry.isDirectory())
      .map(async ({ name: folder }) => {
        try {
          const result = await readManifest(join(base, folder))
          await importFolder(join(base, folder), new MemoryBlocks())
          return { folder, result }
        } catch (error) {
          if (!isRegistryError(error)) throw error
          return { folder, result: error }
        }
      })
  )
}

function published(outcomes: readonly Outcome[]): Map<string, FolderManifest> {
  return new Map(outcomes.flatMap(({ folder, result }) => (isRegistryError(result) ? [] : [[folder, result] as const])))
}

function dependenciesOf(found: FolderManifest | undefined): readonly string[] | undefined {
  return found?.manifest.dependencies.map(
    ({ kind, ecosystem, name, range, optional }) =>
      `${ecosystem ?? kind}/${name}@${range}${optional === true ? '?' : ''}`
  )
}

describe.skipIf(!hasShared)('the real marketplace, as it is', () => {
  test('76 of 86 folders can be published, and each of the ten others has its reason', async () => {
    const outcomes = await tryAll(join(marketplace, 'packages'))
    const refused = outcomes.flatMap(({ folder, result }) =>
      isRegistryError(result) ? [`${folder}: ${result.code}`] : []
    )
    expect(outcomes).toHaveLength(86)
    expect(refused.toSorted()).toEqual([
      'api-gateway-service-mesh: NO_MANIFEST',
      'chatman-businessos-platform: NO_MANIFEST',
      'compliance-audit-system: NO_MANIFEST',
      'data-warehouse-etl: NO_MANIFEST',
      'healthcare: NO_MANIFEST',
      'identity-access-management: NO_MANIFEST',
      'notification-messaging-hub: NO_MANIFEST',
      'observability-platform: NO_MANIFEST',
      'rest-api-template: INVALID_TOML',
      'workflow-automation-engine: NO_MANIFEST'
    ])
    // The marketplace's own index lists 76 as well: one that its tool can't parse, and not one that it forgot.
    const index = JSON.parse(await readFile(join(marketplace, 'index.json'), 'utf8')) as { path: string }[]
    const listed = new Set(index.map(entry => entry.path.replace('packages/', '')))
    const folders = new Set(published(outcomes).keys())
    expect(folders.size).toBe(76)
    expect([...listed].filter(folder => !folders.has(folder))).toEqual(['rest-api-template'])
    expect([...folders].filter(folder => !listed.has(folder))).toEqual(['payment-admission'])
    expect(new Set([...published(outcomes).values()].map(({ manifest }) => manifest.name)).size).toBe(76)
  })

  test('the refusals say what to do: where the fault is, which folder to take', async () => {
    const outcomes = await tryAll(join(marketplace, 'packages'))
    const said = (folder: string) => outcomes.find(outcome => outcome.folder === folder)?.result as RegistryError
    expect(said('rest-api-template').message).toContain('line 35, column 15')
    expect(said('rest-api-template').detail).toMatchObject({ file: 'package.toml', line: 35, column: 15 })
    expect(said('healthcare').next).toContain(
      '"dicom-medical-imaging", "fhir-patient-management", "hl7-v2-integration"'
    )
  })

  test('dependencies in every form that occurs become what they are', async () => {
    const all = published(await tryAll(join(marketplace, 'packages')))
    const table = (folder: string) => dependenciesOf(all.get(folder))
    // A list of names; a table of ranges; required and optional lists; paths; crates; three languages; the tool itself.
    expect(table('agent-reasoning-mcp')).toEqual(['ggen/agent-context-crafter@*', 'ggen/agent-memory-forge@*'])
    expect(table('asset-management')).toEqual(['ggen/rdf@>=0.1.0', 'ggen/sparql@>=1.0.0'])
    expect(table('clinical-trials-management')).toEqual(['ggen/healthcare-core@^1.0.0'])
    expect(table('customer-loyalty-rewards')).toEqual(['ggen/order-management-system@*?'])
    expect(table('java26-sealed-domain')).toEqual(['ggen/java26-core@*'])
    expect(table('banking-core')).toEqual([])
    expect(table('cli-application-template')).toEqual(['external/ggen-core@>=0.4.0'])
    expect(table('io.ggen.nextjs.ontology-crud')).toEqual(['external/ggen@>=2.6.0'])
    expect(table('database-schema-generator')).toEqual([
      'cargo/oxigraph@0.3',
      'cargo/sqlx@0.7',
      'cargo/tera@1.19',
      'cargo/testcontainers@0.15'
    ])
    expect(table('graphql-api-template')).toEqual([
      'npm/@apollo/server@^4.9.5',
      'cargo/async-graphql@7.0',
      'pypi/asyncpg@^0.29.0',
      'npm/dataloader@^2.2.2',
      'npm/graphql@^16.8.1',
      'npm/graphql-subscriptions@^2.0.0',
      'npm/pg@^8.11.3',
      'cargo/sqlx@0.7',
      'pypi/strawberry-graphql@^0.217.0',
      'cargo/tokio@1.35'
    ])
    expect(table('sparql-cli')?.every(text => text.startsWith('cargo/'))).toBe(true)
    expect(table('sparql-cli')).toContain('cargo/petgraph@0.6?')
    expect(table('sector-rust-microservice-8020')).toContain('ggen/sector-observability-8020@^1.0.0')
  })

  test('what is no dependency is said, one note each', async () => {
    const all = published(await tryAll(join(marketplace, 'packages')))
    const notes = all.get('banking-core')?.notes ?? []
    expect(notes.map(note => note.field)).toEqual(
      ['rdf_ontology', 'sparql_templates', 'rust_impl', 'typescript_impl', 'python_impl'].map(
        key => `dependencies.${key}`
      )
    )
    expect(new Set(notes.map(note => note.message))).toEqual(new Set(['a path, not a dependency']))
    expect(all.get('order-management-system')?.notes).toEqual([
      { field: 'dependencies.features', message: 'not a dependency, only "required" and "optional" are' }
    ])
  })

  test('a title that is no name gives way to the id, and stays the title', async () => {
    const all = published(await tryAll(join(marketplace, 'packages')))
    const { manifest, notes } = all.get('io.ggen.nextjs.ontology-crud') ?? {}
    expect(manifest?.name).toBe('io.ggen.nextjs.ontology-crud')
    expect(manifest?.title).toBe('Next.js Ontology-Driven CRUD')
    expect(notes?.[0]).toMatchObject({ field: 'name', from: 'Next.js Ontology-Driven CRUD', to: manifest?.name })
  })

  test('all four packs, with their dates as versions and their Japanese as written', async () => {
    const all = published(await tryAll(packs))
    expect(
      [...all.values()]
        .map(({ manifest, file }) => `${file} ${manifest.kind} ${manifest.name}@${manifest.version}`)
        .toSorted()
    ).toEqual([
      'pack.toml pack clap-noun-verb-schema-pack@1.0.0',
      'pack.toml pack lean-math-pack@26.7.7',
      'pack.toml pack mermaid-pack@26.7.20',
      'pack.toml pack pcq-marketplace-pack@26.8.2'
    ])
    expect(all.get('mermaid-pack')?.manifest.description).toMatch(/^Mermaid全図種の意味駆動生成/)
  })

  test('every manifest survives the way through the bytes that are signed', async () => {
    const all = [...published(await tryAll(join(marketplace, 'packages'))), ...published(await tryAll(packs))]
    for (const [, { manifest }] of all) {
      const bytes = encodeCbor(toManifestRecord(manifest))
      expect(parseManifestRecord(decodeCbor(bytes, 8))).toEqual(manifest)
    }
  })
})
