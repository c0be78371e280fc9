import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

interface Licensed {
  readonly label: string
  readonly licence: string
  readonly texts: readonly string[]
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([-.].*)?$/i

/** The text of THIRD-PARTY-LICENSES for the modules that ended up in the bundle: each package once, with its full licence texts. */
export async function thirdPartyLicences(moduleIds: Iterable<string>): Promise<string> {
  const folders = new Set<string>()
  for (const id of moduleIds) {
    const folder = packageFolder(id)
    if (folder !== undefined) folders.add(folder)
  }
  const packages = await Promise.all([...folders].map(readLicensed))
  packages.sort((a, b) => (a.label < b.label ? -1 : 1))
  const sections = packages.map(({ label, licence, texts }) =>
    [`${label} (${licence})`, ...(texts.length > 0 ? texts : ['The package carries no licence file.'])].join('\n\n')
  )
  const intro = `ggen-node contains code of the following ${packages.length} packages.`
  return `${[intro, ...sections].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

/** The package folder a module id lies in; undefined for our own modules and the bundler's. */
export function packageFolder(moduleId: string): string | undefined {
  const path = moduleId.replaceAll('\\', '/').replace(/\?.*$/, '')
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]
}

async function readLicensed(folder: string): Promise<Licensed> {
  const manifest: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const field = (name: string): string => textField(manifest, name)
  const files = (await readdir(folder)).filter(name => LICENCE_FILE.test(name)).sort()
  const texts = await Promise.all(files.map(async name => (await readFile(join(folder, name), 'utf8')).trim()))
  return { label: `${field('name')}@${field('version')}`, licence: field('license'), texts }
}

function textField(manifest: unknown, name: string): string {
  const value: unknown = typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, name) : undefined
  return typeof value === 'string' ? value : 'unknown'
}
