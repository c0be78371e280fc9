import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CID } from 'multiformats/cid'
import type { BackupRecord } from '../protocol/backup.ts'
import type { Principal } from '../protocol/did.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { checkBackup, readBackup } from '../storage/backup-file.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import { writeDurably } from '../storage/durable.ts'
import { homePaths, prepareHome } from '../storage/home.ts'
import { readKey } from '../storage/key-files.ts'
import { keyName } from '../storage/swarm-records.ts'
import { DEFAULT_CONFIG, homePath, parseConfigFile } from './config.ts'
import { createNode } from './create-node.ts'
import { takeHome } from './home.ts'
import { importSealedKey } from './key-ring.ts'
import type { NamedKey } from './key-ring.ts'
import { ownPackage } from './package-root.ts'
import { nodePolicyFile, parsePolicyText } from './policy-files.ts'
import type { NodeParts } from './parts.ts'
import { codeOfRefusal } from './refusals.ts'
import type { Progress } from './services/api.ts'
import type { Space } from './spaces.ts'

/** How a restore goes about it. */
export interface RestoreOptions {
  /** Asked once, when the backup holds keys. */
  readonly passphrase: () => Promise<string>
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** What came out of a backup. */
export interface Restored {
  readonly home: string
  /** The key that the node signs with from now on: the one of the backup, or a new one when it held none. */
  readonly key: Principal
  readonly keys: readonly NamedKey[]
  readonly registries: number
  readonly facts: number
  /** Facts that wait for others which the backup does not hold: those come from peers. */
  readonly waiting: number
  readonly roots: number
}

/**
 * Makes a data directory from a backup. The whole file is checked first; then keys are opened, facts pass the one gate
 * and blocks are hashed, as if a stranger had sent them. It is built beside the target and moved there in one step, so a
 * failure or a crash leaves the target as it was (and at worst a `.restoring-` folder beside it).
 *
 * The chain of the data directory is new, always: whatever the machine that wrote the backup has signed since, or still
 * signs, is at other positions.
 * @throws RegistryError ALREADY_EXISTS | MALFORMED | LIMIT_EXCEEDED | STORE_FORMAT | BAD_PASSPHRASE | BAD_SIGNATURE | CORRUPT_BLOCK
 */
export async function restoreHome(flag: string | undefined, file: string, options: RestoreOptions): Promise<Restored> {
  const target = homePath(flag)
  await assertEmpty(target)
  const held = await checkBackup(file)
  const passphrase = (held.get('key') ?? 0) > 0 ? await options.passphrase() : ''
  const building = `${target}.restoring-${process.pid}`
  try {
    await mkdir(dirname(target), { recursive: true })
    await rm(building, { recursive: true, force: true })
    const keys = await restoreFiles(building, file, passphrase)
    const restored = await restoreStore(building, file, options)
    // An empty folder may be there already; one that somebody filled meanwhile stops it here.
    await rmdir(target).catch(() => undefined)
    await assertEmpty(target)
    await rename(building, target)
    return { home: target, keys, ...restored }
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code !== 'DISK_FULL') throw cause
    throw new RegistryError('DISK_FULL', `no space is left to restore into ${target}`, {
      cause,
      next: 'free some space on that disk, or choose another folder: ggen-node --home FOLDER restore FILE; nothing was left there'
    })
  } finally {
    await rm(building, { recursive: true, force: true })
  }
}

async function assertEmpty(target: string): Promise<void> {
  let names: readonly string[]
  try {
    names = await readdir(target)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new RegistryError('UNKNOWN_FILE', `${target} cannot be looked into`, { cause })
  }
  if (names.length === 0) return
  throw new RegistryError('ALREADY_EXISTS', `${target} is not empty, and a restore never mixes with what is there`, {
    next: 'choose a folder that does not exist: ggen-node --home FOLDER restore FILE'
  })
}

/** Keys and settings: what a node reads before it opens its store. They come first in the file. */
async function restoreFiles(home: string, file: string, passphrase: string): Promise<readonly NamedKey[]> {
  const paths = await prepareHome(home)
  const keys: NamedKey[] = []
  for await (const record of readBackup(file)) {
    if (record.type === 'key') {
      if (record.name.startsWith('swarm-')) throw new RegistryError('MALFORMED', 'the backup holds the key of a swarm')
      keys.push(await importSealedKey(paths.keys, { name: record.name, text: record.text, passphrase }))
    } else if (record.type === 'config') {
      parseConfigFile(record.text)
      await writeDurably(homePaths(home).config, record.text)
    } else if (record.type === 'policy') {
      const { path, name } = nodePolicyFile(home)
      parsePolicyText(record.text, name)
      await writeDurably(path, record.text)
    } else if (record.type !== 'head') break
  }
  return keys
}

type InStore = Pick<Restored, 'key' | 'registries' | 'facts' | 'waiting' | 'roots'>

async function restoreStore(path: string, file: string, options: RestoreOptions): Promise<InStore> {
  const home = await takeHome(path)
  try {
    const config = { ...DEFAULT_CONFIG, logLevel: 'error' as const }
    const node = await createNode({ home, config, version: ownPackage().version, network: false })
    try {
      const counts = await takeIn(node.parts, file, options)
      return { key: node.parts.author.principal, ...counts }
    } finally {
      await node.stop()
    }
  } finally {
    await home.close()
  }
}

/**
 * Registries, facts, then blocks. Facts were written so that one pass admits them; those of an older program, or of a store
 * that once lost some, may stand in another order, so it is read again while that lets more in.
 */
async function takeIn(
  parts: NodeParts,
  file: string,
  { signal, onProgress }: RestoreOptions
): Promise<Omit<InStore, 'key'>> {
  let facts = 0
  let roots = 0
  let waiting = 0
  let space = parts.spaces.public
  for (let pass = 0; pass < LIMITS.backup.passes; pass++) {
    let taken = 0
    waiting = 0
    for await (const record of readBackup(file)) {
      signal.throwIfAborted()
      if (record.type === 'facts') {
        const admitted = await admitFacts(parts, record)
        taken += admitted.taken
        waiting += admitted.waiting
        onProgress({ text: `${facts + taken} facts`, done: facts + taken })
      } else if (record.type === 'space') {
        space = spaceOf(parts, record.swarm)
      } else if (pass === 0 && (await takeRecord(parts, record, { space, signal }))) {
        roots += 1
        onProgress({ text: `${roots} content roots`, done: roots })
      }
    }
    facts += taken
    if (waiting === 0 || taken === 0) break
  }
  return { registries: parts.registries.all.length, facts, waiting, roots }
}

/** Everything but keys, settings and facts. True when it was a content root, which is now held as a whole. */
async function takeRecord(
  parts: NodeParts,
  record: BackupRecord,
  { space, signal }: { readonly space: Space; readonly signal: AbortSignal }
): Promise<boolean> {
  const { registries, records } = parts
  const { blocks, markKept } = space
  if (record.type === 'registry' || record.type === 'private') {
    const { id, alias, isDefault } = record
    if (registries.ids.includes(id)) throw new RegistryError('MALFORMED', 'the backup names a registry twice')
    if (record.type === 'private') await parts.privates.restore(record, await secretOf(parts, record.swarm))
    else await registries.add(id, { alias, isDefault })
    await parts.follow(id)
  } else if (record.type === 'peers') {
    for (const address of record.addresses) await records.putDialled(address)
  } else if (record.type === 'block') {
    await blocks.put(cidOf(record.cid), record.bytes)
  } else if (record.type === 'root') {
    const cids: CID[] = []
    for await (const cid of listBlocks(record.root, blocks, { signal })) cids.push(cid)
    await blocks.flush(cids)
    // The machine that it came from may be gone; what was not pinned there goes here, too, when there is no room for it.
    await markKept(record.root, { pinned: record.pinned !== false })
    return true
  }
  return false
}

/** The swarm's secret, when the backup held keys and this one was among them. */
async function secretOf({ home }: NodeParts, swarm: string): Promise<Uint8Array | undefined> {
  try {
    return await readKey(homePaths(home).keys, keyName(swarm))
  } catch (error) {
    if (isRegistryError(error) && error.code === 'KEY_NOT_FOUND') return undefined
    throw error
  }
}

/** Attack: a file that names a space of nothing, so that its blocks end up where everybody is served from. */
function spaceOf({ spaces, registries }: NodeParts, swarm: string): Space {
  if (registries.all.some(entry => entry.swarm === swarm)) return spaces.named(swarm)
  throw new RegistryError('MALFORMED', 'the backup holds blocks of a swarm that it does not name')
}

async function admitFacts(
  { gate, registries }: NodeParts,
  { registry, envelopes }: Extract<BackupRecord, { type: 'facts' }>
): Promise<{ readonly taken: number; readonly waiting: number }> {
  if (!registries.ids.includes(registry)) {
    throw new RegistryError('MALFORMED', 'the backup holds facts of a registry that it does not name')
  }
  let taken = 0
  let waiting = 0
  for (const admission of await gate.admitMany(envelopes, { peer: 'self', registry })) {
    if (admission.verdict === 'reject') {
      // No node writes such a fact into a backup: somebody changed the file.
      const code = codeOfRefusal(admission.reason)
      throw new RegistryError(code, `the backup holds a fact that is refused: ${admission.reason}`, {
        next: 'use another copy of the backup'
      })
    }
    if (admission.verdict === 'accept') taken += 1
    else if (admission.verdict === 'pending' || admission.reason !== 'seen') waiting += 1
  }
  return { taken, waiting }
}

function cidOf(bytes: Uint8Array): CID {
  try {
    return CID.decode(bytes)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'a block of the backup has no content identifier', { cause })
  }
}
