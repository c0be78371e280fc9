import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'

interface Licensed {
  readonly label: string
  readonly licence: string
  readonly author: string
  readonly home: string
  readonly texts: readonly string[]
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([-.].*)?$/i
const RULE = `\n\n${'-'.repeat(80)}\n\n`

const ISC = `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.`

/**
 * The text of THIRD-PARTY-LICENSES for the modules that ended up in the bundle: each package once, with its licence texts.
 * Many packages are published without a licence file; for them the terms they name are given once, at the end.
 */
export async function thirdPartyLicences(moduleIds: Iterable<string>): Promise<string> {
  const folders = new Set<string>()
  for (const id of moduleIds) {
    const folder = packageFolder(id)
    if (folder !== undefined) folders.add(folder)
  }
  const packages = await Promise.all([...folders].map(readLicensed))
  packages.sort((a, b) => (a.label < b.label ? -1 : 1))
  const intro = `ggen-node contains code of the following ${packages.length} packages.`
  return `${[intro, ...packages.map(section), ...sharedTerms(packages)].join(RULE)}\n`
}

/** The package folder a module id lies in; undefined for our own modules and the bundler's. */
export function packageFolder(moduleId: string): string | undefined {
  const path = moduleId.replaceAll('\\', '/').replace(/\?.*$/, '')
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]
}

function section({ label, licence, author, home, texts }: Licensed): string {
  const origin = [author, home].filter(text => text !== '').join(', ')
  const own =
    texts.length > 0 ? texts : [`Copyright: the authors of the package (${origin}). Terms: see the end of this file.`]
  return [`${label} (${licence})`, ...own].join('\n\n')
}

/** Where a package leaves the choice, Apache-2.0 is taken. Fails for terms nobody has looked at yet. */
function sharedTerms(packages: readonly Licensed[]): readonly string[] {
  const bare = packages.filter(({ texts }) => texts.length === 0)
  const terms = new Map<string, string>()
  for (const { label, licence } of bare) {
    if (licence.includes('Apache-2.0')) terms.set('Apache-2.0', apacheText(packages))
    else if (licence === 'ISC') terms.set('ISC', ISC)
    else if (licence === 'CC0-1.0') terms.set('CC0-1.0', 'All rights are waived, and no conditions are set.')
    else if (licence === 'WTFPL') terms.set('WTFPL', 'The licence sets no conditions.')
    else
      throw new RegistryError('INTERNAL', `${label} (${licence}) carries no licence file`, {
        next: 'add its terms to bin/build'
      })
  }
  return [...terms].map(
    ([name, text]) => `Terms of ${name}, for the packages above that carry no licence file\n\n${text}`
  )
}

function apacheText(packages: readonly Licensed[]): string {
  const full = packages.flatMap(({ texts }) => texts).find(text => text.includes('END OF TERMS AND CONDITIONS'))
  if (full === undefined) throw new RegistryError('INTERNAL', 'no bundled package carries the text of Apache-2.0')
  return full.slice(0, full.indexOf('END OF TERMS AND CONDITIONS') + 'END OF TERMS AND CONDITIONS'.length)
}

async function readLicensed(folder: string): Promise<Licensed> {
  const manifest: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const files = (await readdir(folder)).filter(name => LICENCE_FILE.test(name)).sort()
  const texts = await Promise.all(files.map(async name => (await readFile(join(folder, name), 'utf8')).trim()))
  return {
    label: `${textField(manifest, 'name')}@${textField(manifest, 'version')}`,
    licence: textField(manifest, 'license') || 'unknown',
    author: textField(manifest, 'author', 'name'),
    home: textField(manifest, 'repository', 'url') || textField(manifest, 'homepage'),
    texts
  }
}

/** A field of a package.json that is a text, or an object with the text under another name. */
function textField(manifest: unknown, name: string, inner = name): string {
  const value: unknown = Reflect.get(Object(manifest), name)
  const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, inner) : value
  return typeof text === 'string' ? text : ''
}
