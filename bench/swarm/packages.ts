import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const FILE_BYTES = 256 * 1024

/** Writes a package of so many bytes that nothing can make smaller, and that no other package has. */
export async function writePackage(
  folder: string,
  { name, version = '1.0.0', bytes }: { readonly name: string; readonly version?: string; readonly bytes: number }
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const lines = ['[package]', `name = "${name}"`, `version = "${version}"`, `description = "Made by the bench"`]
  await writeFile(join(folder, 'package.toml'), [...lines, 'license = "MIT"', ''].join('\n'))
  for (let written = 0; written < bytes; written += FILE_BYTES) {
    const part = randomBytes(Math.min(FILE_BYTES, bytes - written))
    await writeFile(join(folder, `part-${written / FILE_BYTES}.bin`), part)
  }
}
