import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSecret } from '../../attestation/keys.ts'
import { createNode } from '../../node/index.ts'
import type { EmbeddedNode } from '../../node/index.ts'
import type { ApiMethods } from '../../node/services/api.ts'
import type { Authored } from '../../node/services/authority/methods.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { formatFactFile, parseFactFile } from '../../protocol/fact-file.ts'
import { readBackup } from '../../storage/backup-file.ts'
import { homePaths } from '../../storage/home.ts'
import { readKey } from '../../storage/key-files.ts'
import type { Made, Person } from './facts.ts'
import { person } from './facts.ts'
import { packageFolder } from './package-folder.ts'
import type { PackageSpec } from './package-folder.ts'
import { tempDir } from './temp-dir.ts'

/** Somebody with a node of their own, without any network: what others say comes in files. */
export interface Somebody {
  readonly node: EmbeddedNode
  readonly key: Principal
  /** A path for a new file. */
  readonly file: () => string
  publish(
    spec: PackageSpec,
    options?: { key?: string; out?: string; registry?: string }
  ): Promise<ApiMethods['publish']['result']>
  /** Takes facts in and says what became of them, as `verdict reason`. */
  admit(file: string): Promise<readonly string[]>
  follow(registry: string, file: string, alias?: string): Promise<void>
}

let files = 0

/** Starts a node on a new data directory, or on one that is there. */
export async function somebody(home?: string): Promise<Somebody> {
  const dir = home ?? (await tempDir('home'))
  const node = await createNode({ home: dir, network: false })
  const folder = await tempDir('files')
  const admit = async (file: string): Promise<readonly string[]> =>
    (await node.call('admitFile', { file })).facts.map(({ verdict, reason }) => `${verdict} ${reason ?? ''}`.trim())
  return {
    node,
    key: node.key,
    file: () => join(folder, `${(files += 1)}.facts`),
    publish: async (spec, options = {}) => node.call('publish', { folder: await packageFolder(spec), ...options }),
    admit,
    follow: async (registry, file, alias = 'acme') => {
      await node.registries.add(registry, { alias })
      await admit(file)
    }
  }
}

/** Everything that a node knows of a registry, as a file of facts. Read from a backup, which holds all of it. */
export async function everythingOf(somebody: Somebody, registry: string): Promise<string> {
  const [backup, to] = [somebody.file(), somebody.file()]
  await somebody.node.call('backup', { file: backup, blocks: false, keys: [] })
  const envelopes: Envelope[] = []
  for await (const record of readBackup(backup)) {
    if (record.type !== 'facts' || record.registry !== registry) continue
    envelopes.push(...record.envelopes.map(parseEnvelope))
  }
  await writeFile(to, formatFactFile(envelopes))
  return to
}

/** Facts that were made by hand, as a file. */
export async function fileWith(someone: Somebody, made: readonly (Made | Envelope)[]): Promise<string> {
  const file = someone.file()
  await writeFile(file, formatFactFile(made.map(({ bytes }) => parseEnvelope(bytes))))
  return file
}

export async function factsIn(file: string): Promise<readonly Envelope[]> {
  return parseFactFile(new Uint8Array(await readFile(file)))
}

/** The key of a data directory, as whoever steals the file has it. */
export async function stolenFrom({ node }: Somebody, name = 'default'): Promise<Person> {
  const secret = parseSecret(await readKey(homePaths(node.home).keys, name))
  return { ...person('thief'), secret, did: node.key }
}

/** The one fact that a command wrote. */
export function only({ written }: Authored): Authored['written'][number] {
  const [first] = written
  if (first === undefined || written.length !== 1) throw new Error(`${written.length} facts were written`)
  return first
}
