import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { toManifestRecord } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { SEMVER_ORDERING } from '../../protocol/version.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { readManifest } from '../../storage/content/read-manifest.ts'
import { readerOf, readTree } from '../../storage/content/walk-dag.ts'
import { MemoryBlocks, repositoryRoot } from './support.ts'

const run = promisify(execFile)
const examples = join(repositoryRoot, 'examples')

async function manifests(): Promise<readonly Manifest[]> {
  const folders = (await readdir(examples)).toSorted()
  return Promise.all(folders.map(async folder => (await readManifest(join(examples, folder))).manifest))
}

describe('docs/spec/content.md', () => {
  test('gives the CIDs, the digests and the record that the program computes', async () => {
    const text = await readFile(join(repositoryRoot, 'docs', 'spec', 'content.md'), 'utf8')
    const example = text.slice(text.indexOf('## 6.'), text.indexOf('## 7.'))
    const blocks = new MemoryBlocks()
    const folder = join(examples, 'naming-rules')
    const { root, size, digests } = await importFolder(folder, blocks)
    const { files } = await readTree(readerOf(blocks, {}), root)
    const rows = files.map(({ path, cid }) => `| \`${path}\` | \`${cid.toString()}\` |`)
    for (const row of [...rows, `| the folder | \`${root}\` |`]) expect(example).toContain(row)
    expect(example).toContain(`${size} bytes in its files`)
    expect(example).toContain(`has ${digests.archiveBytes} bytes`)
    const squeezed = example.replaceAll(/\s+/g, '')
    expect(squeezed).toContain(`sha256${toHex(digests.sha256)}sha512${toHex(digests.sha512)}`)
    const { manifest } = await readManifest(folder)
    expect(squeezed).toContain(JSON.stringify(manifest).replaceAll(/\s+/g, ''))
    expect(squeezed).toContain(toHex(encodeCbor(toManifestRecord(manifest))))
  })
})

describe('examples/', () => {
  test('are ten packages in eleven folders below 100 kB, one of them a pack', async () => {
    const all = await manifests()
    const sizes = (await readdir(examples)).map(
      async name => (await importFolder(join(examples, name), new MemoryBlocks())).size
    )
    expect(all).toHaveLength(11)
    expect(new Set(all.map(manifest => manifest.name)).size).toBe(10)
    expect(all.filter(manifest => manifest.kind === 'pack').map(manifest => manifest.name)).toEqual([
      'observability-kit'
    ])
    expect((await Promise.all(sizes)).reduce((a, b) => a + b, 0)).toBeLessThan(100_000)
  })

  test('can all be installed together: each range is met by another example', async () => {
    const all = await manifests()
    for (const { name, dependencies } of all) {
      for (const { name: wanted, range, kind } of dependencies) {
        if (kind === 'external') continue
        const fits = SEMVER_ORDERING.parseRange(range)
        const found = all.some(other => other.name === wanted && fits(other.version))
        expect({ name, wanted, range, found }).toEqual({ name, wanted, range, found: true })
      }
    }
  })

  test.skipIf(process.platform === 'win32')('the script does what its README says', async () => {
    const { executables } = await importFolder(join(examples, 'naming-rules'), new MemoryBlocks())
    expect(executables).toEqual(['bin/check-names.sh'])
    const script = join(examples, 'naming-rules', 'bin', 'check-names.sh')
    const turtle = join(examples, 'error-model', 'ontology', 'errors.ttl')
    expect((await run(script, [turtle])).stdout).toBe('')
  })
})
