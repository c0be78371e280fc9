import { randomBytes } from 'node:crypto'
import { readFile, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exportedLines, importedLines } from '../../bin/commands/mirror-text.ts'
import { concatBytes, toHex, utf8 } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { encodeMirrorRecord, parseMirrorRecord } from '../../protocol/mirror-file.ts'
import type { MirrorRecord } from '../../protocol/mirror-file.ts'
import { readMirrorFile, writeMirrorFile } from '../../storage/mirror-file.ts'
import type { WrittenMirrorRecord } from '../../storage/mirror-file.ts'
import { errorOf } from '../support/daemon.ts'
import { codeOf, codeOfAsync } from '../support/error-code.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import { localNode, stopLocalNodes } from '../support/local-node.ts'
import type { LocalNode } from '../support/local-node.ts'
import { matching } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { flipBitIn, storedBlocks } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'

let folder: string
let source: LocalNode
/** For files of which nothing may be left. */
let empty: LocalNode
let registry: RegistryId
let roots: readonly ContentId[]
let whole: string
let records: readonly WrittenMirrorRecord[]

beforeAll(async () => {
  folder = await tempDir('files')
  source = await localNode()
  empty = await localNode()
  registry = (await source.call('registryCreate', { name: 'acme' })).id
  const shared = randomBytes(20_000)
  const made: ContentId[] = []
  for (const version of ['1.0.0', '2.0.0']) {
    const files = { 'sub/shared.bin': shared, 'sub/also.bin': randomBytes(30_000), 'own.txt': version }
    made.push((await source.call('publish', { folder: await packageFolder({ name: 'tool', version, files }) })).cid)
  }
  roots = made
  whole = join(folder, 'whole.mirror')
  const exported = await source.call('mirrorExport', { registry: 'acme', file: whole, private: false })
  expect(exported).toMatchObject({ registry, roots: 2, missing: 0, skipped: [] })
  const read: WrittenMirrorRecord[] = []
  for await (const record of readMirrorFile(whole)) if (record.type !== 'end') read.push(record)
  records = read
})

afterAll(stopLocalNodes)

/** A file with these records and the right digest: what somebody makes who knows the format. */
async function file(made: readonly WrittenMirrorRecord[]): Promise<string> {
  const path = join(folder, `${randomBytes(8).toString('hex')}.mirror`)
  async function* all(): AsyncGenerator<WrittenMirrorRecord> {
    yield* made
  }
  await writeMirrorFile(path, all())
  return path
}

async function bytesOf(path: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes)
  return path
}

/** Of a node that was empty: what is here of what a file held. */
async function left({ parts }: LocalNode) {
  const kept: ContentId[] = []
  for await (const root of parts.spaces.public.kept()) kept.push(root)
  const { blocks } = await parts.spaces.public.stored.usage()
  return { followed: parts.registries.ids, kept, blocks }
}

const NOTHING = { followed: [], kept: [], blocks: 0 }

describe('a registry in a file', () => {
  let owner: LocalNode
  beforeAll(async () => {
    owner = await localNode()
  })

  test('is the same registry with the same bytes where it is taken in, and nothing the second time', async () => {
    const target = await localNode()
    const taken = await target.call('mirrorImport', { file: whole, id: registry, alias: 'acme' })
    expect(taken).toMatchObject({ registry, alias: 'acme', isNew: true, waiting: 0, roots: 2, known: 0, left: 0 })
    const digest = async (node: LocalNode) => toHex(await node.parts.view.digest(registry))
    expect(await digest(target)).toBe(await digest(source))
    expect((await left(target)).kept.toSorted()).toEqual([...roots].toSorted())
    expect(await target.call('storeVerify', {})).toMatchObject({ spaces: [{ damaged: 0, broken: 0 }] })
    const project = await tempDir('project')
    expect(await target.call('install', { project, references: ['tool'], offline: true })).toBeTruthy()
    const again = await target.call('mirrorImport', { file: whole })
    expect(again).toMatchObject({ isNew: false, facts: 0, waiting: 0, roots: 0, known: 2 })
  })

  test('holds each block once, though two packages have it', () => {
    const cids = records.flatMap(record => (record.type === 'block' ? [toHex(record.cid)] : []))
    expect(new Set(cids).size).toBe(cids.length)
  })

  test('is followed only under the id that a person has from somewhere else', async () => {
    expect(await errorOf(empty.call('mirrorImport', { file: whole }))).toMatchObject({ code: 'USAGE' })
    const other = new FactWriter(person('other')).registry
    expect(await codeOfAsync(() => empty.call('mirrorImport', { file: whole, id: other }))).toBe('WRONG_REGISTRY')
    expect(await left(empty)).toEqual(NOTHING)
  })

  test('leaves out what is damaged here, and says so', async () => {
    await owner.call('registryCreate', { name: 'brittle' })
    const made = await packageFolder({ name: 'brittle', files: { 'data.bin': randomBytes(50_000) } })
    const { cid } = await owner.call('publish', { registry: 'brittle', folder: made })
    for (const block of await storedBlocks(join(owner.home, 'blocks'))) await flipBitIn(block)
    const exported = await owner.call('mirrorExport', {
      registry: 'brittle',
      file: join(folder, 'left'),
      private: false
    })
    expect(exportedLines(exported).join('\n')).toContain(`Left out brittle:ggen/brittle@1.0.0  ${cid}`)
    const called = { alias: 'brittle', registry: exported.registry, name: 'ggen/brittle', version: '1.0.0' }
    expect(exported).toMatchObject({ roots: 0, missing: 1, skipped: [{ root: cid, ...called }] })
  })

  test('that is private is written only when that is said, and taken in by nobody outside its swarm', async () => {
    const { registry: secret } = await owner.call('swarmCreate', { name: 'secret' })
    const hidden = await packageFolder({ name: 'hidden' })
    const { cid } = await owner.call('publish', { registry: 'secret', folder: hidden })
    const path = join(folder, 'secret.mirror')
    const params = { registry: 'secret', file: path }
    expect(await errorOf(owner.call('mirrorExport', { ...params, private: false }))).toMatchObject({
      code: 'NOT_AUTHORIZED'
    })
    await owner.call('mirrorExport', { ...params, private: true })
    expect(await errorOf(empty.call('mirrorImport', { file: path, id: secret }))).toMatchObject({
      code: 'NOT_AUTHORIZED'
    })
    expect(await left(empty)).toEqual(NOTHING)
    // Where it is followed, its bytes come into its own store and no other.
    const own = owner.parts.spaces.of(secret)
    expect(own.name).not.toBe('public')
    await own.letGo([cid])
    const { signal } = new AbortController()
    await owner.parts.keeper.collect(own, { budgetBytes: 0, isDry: false, signal })
    expect(await own.stored.usage()).toMatchObject({ blocks: 0 })
    expect(await owner.call('mirrorImport', { file: path })).toMatchObject({ roots: 1, left: 0 })
    expect(await own.isKept(cid)).toBe(true)
    const open = owner.parts.spaces.public
    expect([await open.isKept(cid), await open.stored.has(CID.parse(cid))]).toEqual([false, false])
  })
})

test('what a process that was killed left half written is cleared by the next one that writes there', async () => {
  const there = await tempDir('leftover')
  const old = new Date(Date.now() - 7_200_000)
  const leave = async (name: string, bytes: Uint8Array, time = old): Promise<string> => {
    await writeFile(join(there, name), bytes)
    await utimes(join(there, name), time, time)
    return name
  }
  const half = (await readFile(whole)).subarray(0, 3_000)
  // No process has such an id.
  const gone = `.tmp-${2 ** 31 - 1}`
  await leave(`${gone}-0123456789abcdef`, half)
  const stays = [
    await leave(`${gone}-0123456789abcde0`, half, new Date()),
    await leave(`${gone}-0123456789abcde1`, utf8('of somebody else')),
    await leave(`.tmp-${process.pid}-0123456789abcde2`, half),
    await leave(`${gone}-mine`, half)
  ]
  await source.call('mirrorExport', { registry: 'acme', file: join(there, 'new.mirror'), private: false })
  expect((await readdir(there)).toSorted()).toEqual([...stays, 'new.mirror'].toSorted())
})

describe('a damaged file is refused before anything of it is kept', () => {
  let bytes: Uint8Array
  const refusal = (path: string) => codeOfAsync(() => empty.call('mirrorImport', { file: path, id: registry }))

  beforeAll(async () => {
    bytes = await readFile(whole)
  })

  test('cut short anywhere', async () => {
    for (const length of [0, 5, 18, 21, 400, bytes.length >> 1, bytes.length - 40, bytes.length - 1]) {
      expect(await refusal(await bytesOf(join(folder, 'cut'), bytes.subarray(0, length)))).toBe('MALFORMED')
    }
    expect(await left(empty)).toEqual(NOTHING)
  })

  test('with any bit turned', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        const turned = Uint8Array.from(bytes)
        turned[at] = (turned[at] ?? 0) ^ (1 << bit)
        const code = await refusal(await bytesOf(join(folder, 'turned'), turned))
        expect(['MALFORMED', 'LIMIT_EXCEEDED', 'STORE_FORMAT']).toContain(code)
      }),
      { numRuns: 25 }
    )
    expect(await left(empty)).toEqual(NOTHING)
  })

  test('with bytes behind its end, of a newer format, of another kind, or that is no file', async () => {
    const longer = concatBytes([bytes, new Uint8Array(1)])
    expect(await refusal(await bytesOf(join(folder, 'longer'), longer))).toBe('MALFORMED')
    expect(await refusal(await bytesOf(join(folder, 'newer'), utf8('ggen-node mirror 2\n?')))).toBe('STORE_FORMAT')
    expect(await refusal(await bytesOf(join(folder, 'kind'), utf8('ggen-node backup 1\n?')))).toBe('MALFORMED')
    expect(await refusal(folder)).toBe('UNKNOWN_FILE')
  })

  test('with a length of four gigabytes, of which nothing is reserved', async () => {
    const path = join(folder, 'claims')
    await writeFile(path, concatBytes([utf8('ggen-node mirror 1\n'), Uint8Array.of(255, 255, 255, 255)]))
    expect(await refusal(path)).toBe('LIMIT_EXCEEDED')
  })
})

describe('a file that somebody made up', () => {
  const other = new FactWriter(person('other'), { name: 'other' })
  const isBlock = (record: WrittenMirrorRecord) => record.type === 'block'
  const blocksOf = () => records.filter(isBlock)
  /** The records with those of one type made into others. */
  const changed = (
    type: MirrorRecord['type'],
    change: (record: WrittenMirrorRecord, nth: number) => readonly WrittenMirrorRecord[]
  ) => {
    let nth = 0
    return records.flatMap(record => (record.type === type ? change(record, nth++) : [record]))
  }
  const forged = () =>
    changed('facts', record => {
      if (record.type !== 'facts') return []
      const envelopes = record.envelopes.map(each => Uint8Array.from(each))
      // The signature is the first field of an envelope.
      const last = envelopes.at(-1)
      if (last !== undefined) last[20] = (last[20] ?? 0) ^ 1
      return [{ ...record, envelopes }]
    })

  describe('with statements that are refused leaves nothing', () => {
    test.each<[string, string, () => readonly WrittenMirrorRecord[]]>([
      ['a forged signature', 'BAD_SIGNATURE', forged],
      [
        'statements of another registry',
        'WRONG_REGISTRY',
        () => changed('facts', () => [{ type: 'facts', envelopes: other.all.map(fact => fact.bytes) }])
      ],
      [
        'a statement that is none',
        'MALFORMED',
        () => changed('facts', () => [{ type: 'facts', envelopes: [utf8('no')] }])
      ],
      ['no statement at all', 'MALFORMED', () => changed('facts', () => [])],
      ['records in another order', 'MALFORMED', () => [...records.slice(0, 1), ...records.slice(1).toReversed()]],
      ['no head', 'MALFORMED', () => records.slice(1)]
    ])('%s', async (_name, code, made) => {
      const path = await file(made())
      expect(await codeOfAsync(() => empty.call('mirrorImport', { file: path, id: registry }))).toBe(code)
      expect(await left(empty)).toEqual(NOTHING)
    })
  })

  describe('with blocks that are refused keeps no content that is not whole', () => {
    const foreign = blockOf('another')
    let target: LocalNode
    beforeAll(async () => {
      target = await localNode()
    })

    test('what does not fit into the quota ends it', async () => {
      const room = target.parts.keeper.roomOf(target.parts.spaces.public)
      room.quotaBytes = 40_000
      const code = await codeOfAsync(() => target.call('mirrorImport', { file: whole, id: registry }))
      expect(code).toBe('QUOTA_EXCEEDED')
      expect(await left(target)).toEqual({ followed: [registry], kept: [], blocks: 0 })
      room.quotaBytes = undefined
    })

    test.each<[string, string, () => readonly WrittenMirrorRecord[]]>([
      ['a block with other bytes', 'CORRUPT_BLOCK', () => changed('block', flipped)],
      [
        'a block that no content names',
        'MALFORMED',
        () => changed('block', (each, n) => (n === 1 ? [foreign, each] : [each]))
      ],
      ['a block twice', 'MALFORMED', () => changed('block', (each, n) => (n === 0 ? [each, each] : [each]))],
      [
        'a block without an identifier',
        'MALFORMED',
        () => changed('block', each => [{ ...each, cid: utf8('x') } as never])
      ],
      ['a block whose identifier is its bytes', 'MALFORMED', () => changed('block', () => [identityBlock()])],
      ['a block before any content', 'MALFORMED', () => [...records.slice(0, 2), foreign, ...records.slice(2)]]
    ])('%s', async (_name, code, made) => {
      const path = await file(made())
      expect(await codeOfAsync(() => target.call('mirrorImport', { file: path, id: registry }))).toBe(code)
      const { followed, kept, blocks } = await left(target)
      expect({ followed, kept }).toEqual({ followed: [registry], kept: [] })
      expect(blocks).toBeLessThan(2)
    })

    test('what a content needs and the file has not is said, and the content is not held', async () => {
      const first = records.findIndex(isBlock)
      const path = await file(records.filter((record, at) => record.type !== 'block' || at === first))
      const taken = await target.call('mirrorImport', { file: path, id: registry })
      expect(taken).toMatchObject({ roots: 0, left: 2 })
      expect(importedLines(taken).join('\n')).toMatch(/Left out \w+:ggen\/\w+@\d+\.\d+\.\d+ {2}bafy/)
      expect(taken.skipped.map(each => [each.registry, each.alias, each.name, each.version])).toEqual(
        taken.skipped.map(() => [registry, taken.alias, matching(/^ggen\//), matching(/^\d+\.\d+\.\d+$/)])
      )
      expect((await left(target)).kept).toEqual([])
    })

    test('a content that the registry does not name is passed over with all its blocks', async () => {
      const path = await file([...records, { type: 'root', root: contentIdOf('foreign') }, foreign])
      const taken = await target.call('mirrorImport', { file: path, id: registry })
      expect(taken).toMatchObject({ roots: 2, left: 1, skipped: [{ root: contentIdOf('foreign'), name: null }] })
      expect(await target.parts.spaces.public.stored.has(CID.decode(foreign.cid))).toBe(false)
      expect(blocksOf()).toHaveLength((await left(target)).blocks)
    })
  })

  const flipped = (record: WrittenMirrorRecord, nth: number): readonly WrittenMirrorRecord[] => {
    if (record.type !== 'block' || nth !== 1) return [record]
    const bytes = Uint8Array.from(record.bytes)
    bytes[0] = (bytes[0] ?? 0) ^ 1
    return [{ ...record, bytes }]
  }
})

describe('a record', () => {
  const all: readonly MirrorRecord[] = [
    { type: 'head', created: 1, program: 'test', registry: new FactWriter(person('root')).registry },
    { type: 'facts', envelopes: [utf8('fact')] },
    { type: 'root', root: contentIdOf('a') },
    blockOf('a'),
    { type: 'end', records: 3, digest: new Uint8Array(32) }
  ]

  test.each(all)('$type is read as it was written, and with another field, or one less, refused', record => {
    expect(parseMirrorRecord(encodeMirrorRecord(record))).toEqual(record)
    const { type, ...fields } = record
    const value = { ...fields, type: type as string }
    expect(codeOf(() => parseMirrorRecord(encodeCbor({ ...value, more: 1 })))).not.toBe('none')
    const [first = ''] = Object.keys(fields)
    expect(codeOf(() => parseMirrorRecord(encodeCbor({ ...value, [first]: null })))).toBe('MALFORMED')
  })

  test('no bytes make the reader throw anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        try {
          parseMirrorRecord(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError)
        }
      }),
      { numRuns: 1_000 }
    )
  })
})

function blockOf(content: string): Extract<WrittenMirrorRecord, { type: 'block' }> {
  const bytes = utf8(content)
  return { type: 'block', cid: CID.parse(contentIdOf(content)).bytes, bytes }
}

function identityBlock(): WrittenMirrorRecord {
  const bytes = utf8('me')
  return { type: 'block', cid: concatBytes([Uint8Array.of(1, 0x55, 0, bytes.length), bytes]), bytes }
}
