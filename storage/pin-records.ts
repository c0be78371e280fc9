import { createHash } from 'node:crypto'
import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parseContentId, parseRegistryId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { keysFrom } from './fact-records.ts'
import type { KeyValue } from './key-value.ts'

/** What an operator wants to be kept: a registry, a package of one, those of its versions that a range allows, or one content root. */
export interface PinRecord {
  /** Null for a content root. */
  readonly registry: RegistryId | null
  readonly name: string | null
  readonly range: string | null
  readonly root: ContentId | null
  /** The swarm whose block store a content root is in; null otherwise. */
  readonly swarm: string | null
  readonly time: number
  /** Of a mirror: an entry of its own beside a pin of the same thing. */
  readonly policy: { readonly factor: number | null; readonly quotaBytes: number | null } | null
}

/** A project folder, and what its lockfile held when something was last installed there. */
export interface ProjectRecord {
  readonly path: string
  readonly time: number
  readonly packs: readonly { readonly registry: RegistryId; readonly root: ContentId }[]
}

const PIN_FIELDS = ['name', 'range', 'registry', 'root', 'swarm', 'time'] as const
const MIRROR_FIELDS = [...PIN_FIELDS, 'factor', 'quota'] as const

/**
 * What is to stay in the block stores, in the same store as everything else:
 *
 *   pin!<sha2-256 of what it means>     -> {name, range, registry, root, swarm, time}; of a mirror with {factor, quota}, too
 *   project!<sha2-256 of the folder>    -> {path, time, packs: [<registry> <root>, …]}
 *
 * Both are durable before somebody is told that they are there.
 */
export class PinRecords {
  readonly #kv: KeyValue

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async *pins(): AsyncGenerator<PinRecord> {
    for await (const [, value] of this.#kv.iterate(keysFrom('pin!'))) yield decodePin(value)
  }

  async putPin(pin: PinRecord): Promise<void> {
    const { name, range, registry, root, swarm, time, policy } = pin
    const mirror = policy === null ? {} : { factor: policy.factor, quota: policy.quotaBytes }
    const value = encodeCbor({ name, range, registry, root, swarm, time, ...mirror })
    await this.#kv.batch([{ type: 'put', key: pinKey(pin), value }], { sync: true })
  }

  async deletePin(pin: PinRecord): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: pinKey(pin) }], { sync: true })
  }

  async *projects(): AsyncGenerator<ProjectRecord> {
    for await (const [, value] of this.#kv.iterate(keysFrom('project!'))) yield decodeProject(value)
  }

  async project(path: string): Promise<ProjectRecord | undefined> {
    const value = await this.#kv.get(projectKey(path))
    return value === undefined ? undefined : decodeProject(value)
  }

  async putProject({ path, time, packs }: ProjectRecord): Promise<void> {
    const value = encodeCbor({ path, time, packs: packs.map(({ registry, root }) => `${registry} ${root}`) })
    await this.#kv.batch([{ type: 'put', key: projectKey(path), value }], { sync: true })
  }

  async deleteProject(path: string): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: projectKey(path) }], { sync: true })
  }
}

function pinKey({ registry, name, range, root, swarm, policy }: PinRecord): string {
  const kind = policy === null ? [] : ['mirror']
  return `pin!${digestOf(JSON.stringify([registry, name, range, root, swarm, ...kind]))}`
}

function projectKey(path: string): string {
  return `project!${digestOf(path)}`
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function decodePin(value: Uint8Array): PinRecord {
  const decoded = decodeCbor(value, 1)
  const isMirror = typeof decoded === 'object' && decoded !== null && 'factor' in decoded
  const { name, range, registry, root, swarm, time } = recordOf(decoded, isMirror ? MIRROR_FIELDS : PIN_FIELDS)
  const isText = (field: unknown): field is string | null => field === null || typeof field === 'string'
  const isSound = isText(name) && isText(range) && isText(registry) && isText(root) && isText(swarm)
  if (!isSound || typeof time !== 'number') throw corrupt('pin')
  return {
    name,
    range,
    registry: registry === null ? null : parseRegistryId(registry),
    root: root === null ? null : parseContentId(root),
    swarm,
    time,
    policy: isMirror ? decodePolicy(recordOf(decoded, MIRROR_FIELDS)) : null
  }
}

function decodePolicy({ factor, quota }: Record<'factor' | 'quota', unknown>): PinRecord['policy'] {
  const isSound = (factor === null || typeof factor === 'number') && (quota === null || typeof quota === 'number')
  if (!isSound) throw corrupt('mirror')
  return { factor, quotaBytes: quota }
}

function decodeProject(value: Uint8Array): ProjectRecord {
  const { path, time, packs } = recordOf(decodeCbor(value, 2), ['packs', 'path', 'time'])
  if (typeof path !== 'string' || typeof time !== 'number' || !Array.isArray(packs)) throw corrupt('project')
  return {
    path,
    time,
    packs: packs.map(pack => {
      const [registry = '', root = ''] = String(pack).split(' ')
      return { registry: parseRegistryId(registry), root: parseContentId(root) }
    })
  }
}

function corrupt(what: string): RegistryError {
  return new RegistryError('STORE_CORRUPT', `the record of a ${what} cannot be read`, { next: 'run ggen-node doctor' })
}
