import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { restoreHome } from '../../node/restore.ts'
import { encodeBackupRecord, parseBackupRecord } from '../../protocol/backup.ts'
import type { BackupRecord } from '../../protocol/backup.ts'
import { toLink } from '../../protocol/cid.ts'
import { concatBytes, utf8 } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { readBackup, writeBackup } from '../../storage/backup-file.ts'
import { exportKey } from '../../storage/key-export.ts'
import { codeOf, codeOfAsync } from '../support/error-code.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

let folder: string
let whole: string
const writer = new FactWriter(person('root'))
const claim = writer.claim('alpha')
writer.release('alpha', '1.0.0', writer.cite(claim))

type Written = Exclude<BackupRecord, { type: 'end' }>
const head: Written = { type: 'head', created: 1, program: 'test' }
const registry: Written = { type: 'registry', id: writer.registry, alias: 'office', isDefault: true }
const facts = (envelopes = writer.all.map(fact => fact.bytes)): Written => {
  return { type: 'facts', registry: writer.registry, envelopes }
}

/** A file with these records and the right digest: what somebody makes who knows the format. */
async function file(...records: readonly Written[]): Promise<string> {
  const path = join(folder, `${randomBytes(8).toString('hex')}.backup`)
  await writeBackup(path, from(records))
  return path
}

async function* from(records: readonly Written[]): AsyncGenerator<Written> {
  yield* records
}

/** Restores into a new place, which must not exist afterwards when that fails. */
async function restore(path: string): Promise<{ readonly code: string; readonly left: readonly string[] }> {
  const around = await tempDir('hostile')
  const options = {
    passphrase: () => Promise.resolve('pass'),
    signal: new AbortController().signal,
    onProgress: () => undefined
  }
  const code = await codeOfAsync(() => restoreHome(join(around, 'home'), path, options))
  return { code, left: await readdir(around) }
}

const refused = (code: string) => ({ code, left: [] })

beforeAll(async () => {
  folder = await tempDir('backups')
  whole = await file(head, registry, facts())
})

test('a good file is taken', async () => {
  expect(await restore(whole)).toEqual({ code: 'none', left: ['home'] })
})

describe('a damaged file is refused and leaves nothing', () => {
  test('cut short anywhere', async () => {
    const bytes = await readFile(whole)
    for (const length of [0, 5, 19, 21, 40, 300, bytes.length - 40, bytes.length - 1]) {
      const path = join(folder, `cut-${length}`)
      await writeFile(path, bytes.subarray(0, length))
      expect(await restore(path)).toEqual(refused('MALFORMED'))
    }
  })

  test('with any bit turned', async () => {
    const bytes = await readFile(whole)
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        const turned = Uint8Array.from(bytes)
        turned[at] = (turned[at] ?? 0) ^ (1 << bit)
        const path = join(folder, 'turned')
        await writeFile(path, turned)
        expect(['MALFORMED', 'LIMIT_EXCEEDED', 'STORE_FORMAT']).toContain((await restore(path)).code)
      }),
      { numRuns: 150 }
    )
  })

  test('with any bit turned in the name of a registry', async () => {
    const bytes = await readFile(whole)
    const name = Buffer.from(bytes).indexOf('ealias') + 'ealias'.length + 1
    expect(name).toBeGreaterThan(20)
    for (let bit = 0; bit < 8; bit++) {
      const turned = Uint8Array.from(bytes)
      turned[name] = (turned[name] ?? 0) ^ (1 << bit)
      const path = join(folder, 'turned-name')
      await writeFile(path, turned)
      expect(await restore(path)).toEqual(refused('MALFORMED'))
    }
  })

  test('with bytes behind its end', async () => {
    const path = join(folder, 'longer')
    await writeFile(path, concatBytes([await readFile(whole), new Uint8Array(1)]))
    expect(await restore(path)).toEqual(refused('MALFORMED'))
  })

  test('of a newer format', async () => {
    const path = join(folder, 'newer')
    await writeFile(path, 'ggen-node backup 2\nwhatever this is')
    expect(await restore(path)).toEqual(refused('STORE_FORMAT'))
  })

  test('that is no file at all', async () => {
    expect(await restore(folder)).toEqual(refused('UNKNOWN_FILE'))
    expect(await restore(join(folder, 'nowhere'))).toEqual(refused('UNKNOWN_FILE'))
  })
})

describe('a file that somebody made up is refused and leaves nothing', () => {
  const genesis = writer.genesis.bytes
  const forged = Uint8Array.from(claim.bytes)
  // The signature is the first field of an envelope.
  forged[20] = (forged[20] ?? 0) ^ 1
  const other = new FactWriter(person('other'), { name: 'other' })
  const block = { type: 'block' as const, cid: cidBytes('block'), bytes: utf8('block') }

  test.each<[string, string, readonly Written[]]>([
    ['a forged signature', 'BAD_SIGNATURE', [head, registry, facts([genesis, forged])]],
    ['a fact of another registry', 'WRONG_REGISTRY', [head, registry, facts([other.genesis.bytes])]],
    ['a fact that is none', 'MALFORMED', [head, registry, facts([utf8('not a fact')])]],
    [
      'facts of a registry it does not name',
      'MALFORMED',
      [head, registry, { type: 'facts', registry: other.registry, envelopes: [] }]
    ],
    ['a registry twice', 'MALFORMED', [head, registry, { ...registry, alias: 'again' }]],
    ['one alias for two registries', 'ALREADY_EXISTS', [head, registry, { ...registry, id: other.registry }]],
    ['a block with other bytes', 'CORRUPT_BLOCK', [head, { ...block, bytes: utf8('else') }]],
    ['a block without an identifier', 'MALFORMED', [head, { ...block, cid: utf8('x') }]],
    ['a key that no passphrase opens', 'BAD_PASSPHRASE', [head, { type: 'key', name: 'default', text: sealed() }]],
    ['a key that is no sealed key', 'MALFORMED', [head, { type: 'key', name: 'default', text: '{}' }]],
    ['the key of a swarm', 'MALFORMED', [head, { type: 'key', name: 'swarm-public', text: sealed() }]],
    ['settings that mean nothing', 'USAGE', [head, { type: 'config', text: 'keep = "some"' }]],
    ['two settings files', 'LIMIT_EXCEEDED', [head, { type: 'config', text: '' }, { type: 'config', text: '' }]],
    ['records in another order', 'MALFORMED', [head, registry, { type: 'config', text: '' }]],
    ['no head', 'MALFORMED', [registry]]
  ])('%s', async (_name, code, records) => {
    expect(await restore(await file(...records))).toEqual(refused(code))
  })

  test('a key whose name is a path', async () => {
    const { did: principal, secret } = person('anyone')
    const text = await exportKey({ principal, secret }, 'pass')
    for (const name of ['../../evil', '..', 'a/b', '.hidden', '']) {
      expect(await restore(await file(head, { type: 'key', name, text }))).toEqual(refused('INVALID_NAME'))
    }
    expect(await restore(await file(head, { type: 'key', name: 'fine', text }))).toMatchObject({ code: 'none' })
  })

  test('a content root whose blocks it does not hold', async () => {
    const around = await tempDir('hostile')
    const path = await file(head, { type: 'root', root: contentIdOf('absent') })
    const options = {
      passphrase: () => Promise.resolve(''),
      signal: new AbortController().signal,
      onProgress: () => undefined
    }
    await expect(restoreHome(join(around, 'home'), path, options)).rejects.toThrow()
    expect(await readdir(around)).toEqual([])
  })

  test('a record that claims four gigabytes reserves none of it', async () => {
    const path = join(folder, 'claims')
    await writeFile(path, concatBytes([utf8('ggen-node backup 1\n'), Uint8Array.of(255, 255, 255, 255)]))
    expect(await restore(path)).toEqual(refused('LIMIT_EXCEEDED'))
  })

  test('facts in another order come in all the same', async () => {
    const turned = writer.all.map(fact => fact.bytes).toReversed()
    const around = await tempDir('hostile')
    const restored = await restoreHome(join(around, 'home'), await file(head, registry, facts(turned)), {
      passphrase: () => Promise.resolve(''),
      signal: new AbortController().signal,
      onProgress: () => undefined
    })
    expect(restored).toMatchObject({ facts: 3, waiting: 0 })
  })

  test('facts whose predecessor is missing are left for peers', async () => {
    const around = await tempDir('hostile')
    const path = await file(head, registry, facts([genesis, writer.all.at(-1)?.bytes ?? genesis]))
    const restored = await restoreHome(join(around, 'home'), path, {
      passphrase: () => Promise.resolve(''),
      signal: new AbortController().signal,
      onProgress: () => undefined
    })
    expect(restored).toMatchObject({ facts: 1, waiting: 1 })
  })
})

describe('a record', () => {
  const records: readonly BackupRecord[] = [
    head,
    { type: 'key', name: 'default', text: 'sealed' },
    { type: 'config', text: 'keep = "all"' },
    { type: 'peers', addresses: ['/ip4/127.0.0.1/tcp/1'] },
    registry,
    facts(),
    { type: 'block', cid: cidBytes('a'), bytes: utf8('a') },
    { type: 'root', root: contentIdOf('a') },
    { type: 'root', root: contentIdOf('a'), pinned: false },
    { type: 'end', records: 3, digest: new Uint8Array(32) }
  ]

  test.each(['config', 'policy'] as const)('of a %s that begins with a byte order mark is that without it', type => {
    const record = encodeBackupRecord({ type, text: '\ufeff[node]\n' })
    expect(parseBackupRecord(record)).toEqual({ type, text: '[node]\n' })
  })

  test.each(records)('$type is read as it was written', record => {
    expect(parseBackupRecord(encodeBackupRecord(record))).toEqual(record)
  })

  test.each(records)('$type with another field, or one less, is refused', record => {
    const { type, ...fields } = record
    const value = { ...fields, type: type as string }
    expect(codeOf(() => parseBackupRecord(encodeCbor({ ...value, more: 1 })))).toBe('MALFORMED')
    const [first = ''] = Object.keys(fields)
    expect(codeOf(() => parseBackupRecord(encodeCbor({ ...value, [first]: null })))).toBe('MALFORMED')
  })

  test('of a root that says of its pin anything but that there is none is refused', () => {
    for (const pinned of [true, 0, 'no'])
      expect(
        codeOf(() => parseBackupRecord(encodeCbor({ type: 'root', root: toLink(contentIdOf('a')), pinned })))
      ).toBe('MALFORMED')
  })

  test('no bytes make the reader throw anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        try {
          parseBackupRecord(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError)
        }
      }),
      { numRuns: 2_000 }
    )
  })

  test('holds at most so many facts', () => {
    const envelopes = Array.from({ length: LIMITS.backup.factsPerRecord + 1 }, () => new Uint8Array(1))
    expect(codeOf(() => parseBackupRecord(encodeBackupRecord(facts(envelopes))))).toBe('LIMIT_EXCEEDED')
  })
})

test('a backup that fails half way leaves no file', async () => {
  const around = await tempDir('half')
  const path = join(around, 'x.backup')
  async function* broken(): AsyncGenerator<Written> {
    yield head
    throw new RegistryError('STORE_CORRUPT', 'the store broke')
  }
  expect(await codeOfAsync(() => writeBackup(path, broken()))).toBe('STORE_CORRUPT')
  expect(await readdir(around)).toEqual([])
})

test('what is written is read, and its size is said', async () => {
  const path = join(folder, 'size.backup')
  const { bytes, records } = await writeBackup(path, from([head, registry]))
  expect((await stat(path)).size).toBe(bytes)
  const types: string[] = []
  for await (const { type } of readBackup(path)) types.push(type)
  expect(types).toEqual(['head', 'registry', 'end'])
  expect(records).toBe(2)
})

function cidBytes(content: string): Uint8Array {
  return concatBytes([Uint8Array.of(1, 0x55, 0x12, 32), createHash('sha256').update(content).digest()])
}

/** Has the shape of a sealed key; no passphrase opens it. */
function sealed(): string {
  const { did } = person('anyone')
  return [
    '{',
    '  "format": "ggen-node-key/1",',
    `  "principal": "${did}",`,
    `  "kdf": { "name": "scrypt", "n": ${LIMITS.keys.scryptMinN}, "r": 8, "p": 1, "salt": "${'00'.repeat(32)}" },`,
    `  "cipher": { "name": "aes-256-gcm", "nonce": "${'00'.repeat(12)}" },`,
    `  "sealed": "${'00'.repeat(48)}"`,
    '}\n'
  ].join('\n')
}
