import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { ARCHIVE_END, archiveHeader, archivePadding } from '../protocol/archive.ts'

export interface Tree {
  readonly tar: Buffer
  readonly files: number
}

/** All files of a folder as one tar archive, without those below one of its entries. */
export async function tarOf(folder: string, except?: string): Promise<Tree> {
  const parts: Uint8Array[] = []
  let files = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path)
    const name = relative(folder, path).split(sep).join('/')
    if (except !== undefined && name.startsWith(`${except}/`)) continue
    parts.push(archiveHeader(name, bytes.length), bytes, archivePadding(bytes.length))
    files += 1
  }
  return { tar: Buffer.concat([...parts, ARCHIVE_END]), files }
}

/** Writes the files of such an archive below a folder, without any check. */
export async function unpackTar(tar: Buffer, folder: string): Promise<void> {
  const made = new Set<string>()
  for (let offset = 0; offset + 1024 < tar.length;) {
    const text = (from: number, length: number): string =>
      tar.toString('utf8', offset + from, offset + from + length).replace(/\0.*$/s, '')
    const prefix = text(345, 155)
    const name = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`
    if (text(156, 1) === 'x') throw new Error('a path that is too long for the reference')
    const size = Number.parseInt(tar.toString('latin1', offset + 124, offset + 135), 8)
    const path = join(folder, name)
    if (!made.has(dirname(path))) await mkdir(dirname(path), { recursive: true })
    made.add(dirname(path))
    await writeFile(path, tar.subarray(offset + 512, offset + 512 + size))
    offset += 512 + Math.ceil(size / 512) * 512
  }
}
