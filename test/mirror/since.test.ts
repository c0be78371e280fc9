import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { readMirrorFile } from '../../storage/mirror-file.ts'
import { errorOf } from '../support/daemon.ts'
import { localNode, stopLocalNodes } from '../support/local-node.ts'
import type { LocalNode } from '../support/local-node.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

let folder: string
let source: LocalNode
let registry: RegistryId
const shared = randomBytes(200_000)

async function publish(version: string, name = 'tool'): Promise<ContentId> {
  const files = { 'shared.bin': shared, 'own.bin': randomBytes(2_000) }
  return (await source.call('publish', { folder: await packageFolder({ name, version, files }) })).cid
}

async function exported(name: string, since?: string) {
  const file = join(folder, name)
  const params = { registry: 'acme', file, private: false }
  return source.call('mirrorExport', since === undefined ? params : { ...params, since: join(folder, since) })
}

const taken = (node: LocalNode, name: string) =>
  node.call('mirrorImport', { file: join(folder, name), id: registry, alias: 'acme' })

const holds = (node: LocalNode, root: ContentId) => node.parts.spaces.public.isKept(root)
const digest = async (node: LocalNode) => toHex(await node.parts.view.digest(registry))

beforeAll(async () => {
  folder = await tempDir('files')
  source = await localNode()
  registry = (await source.call('registryCreate', { name: 'acme' })).id
})

afterAll(stopLocalNodes)

describe('an export of what is new since an earlier one', () => {
  let roots: readonly ContentId[]

  beforeAll(async () => {
    const first = await publish('1.0.0')
    await exported('first.mirror')
    const second = await publish('2.0.0')
    await exported('second.mirror', 'first.mirror')
    const third = await publish('3.0.0', 'other')
    await exported('third.mirror', 'second.mirror')
    roots = [first, second, third]
  })

  test('holds new statements and new bytes alone, and makes the same registry, file after file', async () => {
    const target = await localNode()
    expect(await taken(target, 'first.mirror')).toMatchObject({ isNew: true, roots: 1, left: 0 })
    expect(await taken(target, 'second.mirror')).toMatchObject({
      isNew: false,
      waiting: 0,
      roots: 1,
      known: 0,
      left: 0
    })
    expect(await taken(target, 'third.mirror')).toMatchObject({ waiting: 0, roots: 1, known: 0, left: 0 })
    expect(await digest(target)).toBe(await digest(source))
    for (const root of roots) expect(await holds(target, root)).toBe(true)
    expect(await target.call('storeVerify', {})).toMatchObject({ spaces: [{ damaged: 0, broken: 0 }] })
    // The file that both versions have went once, with the first of them.
    const { size } = await stat(join(folder, 'second.mirror'))
    expect(size).toBeLessThan(30_000)
    expect((await stat(join(folder, 'third.mirror'))).size).toBeLessThan(30_000)
  })

  test('says what it leaves out, and is empty when nothing is new', async () => {
    expect(await exported('nothing.mirror', 'third.mirror')).toMatchObject({
      facts: 0,
      roots: 0,
      before: 3,
      missing: 0
    })
  })

  test('is refused, before anything is kept, where what it is based on is not', async () => {
    const empty = await localNode()
    expect(await errorOf(taken(empty, 'second.mirror'))).toMatchObject({
      code: 'PENDING',
      message: expect.stringContaining('an earlier export') as string,
      next: expect.stringContaining('import the earlier files first') as string
    })
    expect(empty.parts.registries.ids).toEqual([])
    await taken(empty, 'first.mirror')
    // The one between is missing: nothing in the third waits for it, and yet it would be missed.
    const before = empty.parts.facts.head(registry).count
    expect(await errorOf(taken(empty, 'third.mirror'))).toMatchObject({ code: 'PENDING' })
    expect(empty.parts.facts.head(registry).count).toBe(before)
  })

  test('is based on a file that is there, whole, and of the same registry', async () => {
    expect(await errorOf(exported('a.mirror', 'nowhere.mirror'))).toMatchObject({ code: 'UNKNOWN_FILE' })
    const other = await localNode()
    await other.call('registryCreate', { name: 'other' })
    const file = join(folder, 'other.mirror')
    await other.call('mirrorExport', { registry: 'other', file, private: false })
    expect(await errorOf(exported('b.mirror', 'other.mirror'))).toMatchObject({ code: 'WRONG_REGISTRY' })
    for (const name of ['a.mirror', 'b.mirror']) await expect(stat(join(folder, name))).rejects.toThrow()
  })

  test('brings a content that could not be in the earlier one, as soon as it can', async () => {
    const root = await publish('4.0.0')
    await source.call('quarantine', { reference: 'tool@4.0.0', reason: 'looked at' })
    const stopped = await exported('stopped.mirror', 'third.mirror')
    expect(stopped).toMatchObject({
      roots: 0,
      missing: 1,
      skipped: [{ root, name: 'ggen/tool', version: '4.0.0', reason: 'it is in quarantine' }]
    })
    await source.call('unquarantine', { reference: 'tool@4.0.0' })
    expect(await exported('free.mirror', 'stopped.mirror')).toMatchObject({ roots: 1, missing: 0 })
    const found: ContentId[] = []
    for await (const record of readMirrorFile(join(folder, 'free.mirror')))
      if (record.type === 'root') found.push(record.root)
    expect(found).toEqual([root])
  })
})

describe('a content in quarantine', () => {
  test('is taken from no file, though the file is older than the quarantine', async () => {
    const target = await localNode()
    const root = await publish('5.0.0')
    await exported('with.mirror')
    await source.call('quarantine', { reference: 'tool@5.0.0', reason: 'steals keys' })
    await exported('news.mirror', 'with.mirror')
    // The news come first, as they do where a wire leads: here by a file that all is in.
    await exported('all.mirror')
    await taken(target, 'all.mirror')
    const late = await taken(target, 'with.mirror')
    expect(late.skipped).toMatchObject([{ root, name: 'ggen/tool', version: '5.0.0', reason: 'it is in quarantine' }])
    expect(await holds(target, root)).toBe(false)
  })
})
