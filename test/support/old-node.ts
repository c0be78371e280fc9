import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A Node.js on this machine that is too old for ggen-node; undefined when there is none. */
export function findOldNode(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  for (const folder of new Set(folders)) {
    const file = join(folder, 'node')
    if (folder === '' || folder.includes('node_modules') || !existsSync(file)) continue
    const version = execFileSync(file, ['--version'], { encoding: 'utf8' }).trim()
    const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number)
    if (major < 24 || (major === 24 && minor < 15)) return file
  }
  return undefined
}
