import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { tempDir } from './temp-dir.ts'

export interface PackageSpec {
  readonly name: string
  readonly version?: string
  readonly description?: string
  /** Name to range. */
  readonly dependencies?: Readonly<Record<string, string>>
  /** Path to content; beside the manifest. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
}

/** Writes a package folder, in a new temporary folder unless told where. Returns its path. */
export async function packageFolder(spec: PackageSpec, parent?: string): Promise<string> {
  const { name, version = '1.0.0', description = `the package ${name}`, dependencies = {}, files = {} } = spec
  const folder = join(parent ?? (await tempDir('package')), `${name}-${version}`)
  await mkdir(folder, { recursive: true })
  const manifest = [
    '[package]',
    `name = ${JSON.stringify(name)}`,
    `version = ${JSON.stringify(version)}`,
    `description = ${JSON.stringify(description)}`,
    'license = "MIT"',
    '',
    '[dependencies]',
    ...Object.entries(dependencies).map(([needed, range]) => `${JSON.stringify(needed)} = ${JSON.stringify(range)}`),
    ''
  ].join('\n')
  for (const [path, content] of Object.entries({ 'README.md': `# ${name}\n`, 'package.toml': manifest, ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}
