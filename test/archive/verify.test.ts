import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../attestation/keys.ts'
import { canonicalArchive } from '../../protocol/archive.ts'
import { formatDsse, IN_TOTO_TYPE, signedPart } from '../../protocol/attest/envelope.ts'
import { formatStatement } from '../../protocol/attest/statement.ts'
import { person } from '../support/facts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { rawTar } from '../support/raw-tar.ts'
import type { RawEntry } from '../support/raw-tar.ts'
import { tempDir } from '../support/temp-dir.ts'

let ann: Somebody
let files: string
let cid: string
let folder: string

beforeAll(async () => {
  ann = await somebody()
  files = await tempDir('archives')
  await ann.node.call('registryCreate', { name: 'acme' })
  folder = await packageFolder({ name: 'alpha' })
  cid = (await ann.node.call('publish', { folder })).cid
})
afterAll(() => ann.node.stop())

const file = async (name: string, bytes: Uint8Array): Promise<string> => {
  const path = join(files, name)
  await writeFile(path, bytes)
  return path
}

const entriesOf = async (of: string): Promise<{ name: string; body: Buffer }[]> =>
  Promise.all((await readdir(of)).toSorted().map(async name => ({ name, body: await readFile(join(of, name)) })))

async function canonical(): Promise<Buffer> {
  const all = (await entriesOf(folder)).map(({ name, body }) => ({ path: name, size: body.length, content: [body] }))
  const parts: Uint8Array[] = []
  for await (const part of canonicalArchive(all)) parts.push(part)
  return Buffer.concat(parts)
}

const leftovers = async (): Promise<readonly string[]> =>
  (await readdir(ann.node.home)).filter(name => name.startsWith('.tmp-'))

describe('verify of an archive', () => {
  test('the canonical archive is the release, and what was said elsewhere about it is found', async () => {
    const archive = await canonical()
    const lab = person('a lab')
    const sha256 = createHash('sha256').update(archive).digest('hex')
    const payload = formatStatement({
      subjects: [{ name: 'alpha.tar', digests: new Map([['sha256', sha256]]) }],
      predicateType: 'urn:ggen:attestation:star:1',
      predicate: {}
    })
    const part = { payloadType: IN_TOTO_TYPE, payload }
    const signatures = [{ keyid: 'x', sig: sign(lab.secret, signedPart(part)) }]
    const envelope = await file('star.json', formatDsse({ ...part, signatures }))
    await ann.node.call('attest', { reference: 'alpha', envelope, signers: [lab.did] })

    const found = await ann.node.call('verifyArchive', { file: await file('alpha.tar', archive) })
    expect(found).toMatchObject({ sha256, isCanonical: true, inside: null, cid, name: 'ggen/alpha', version: '1.0.0' })
    expect(found.releases).toMatchObject([{ name: 'ggen/alpha', alias: 'acme', cid, sha256 }])
    expect(found.attestations).toMatchObject([{ type: 'star', issuer: lab.did }])
    expect(await leftovers()).toEqual([])
  })

  test('an archive of another tool with the same files is the release too, though not that archive', async () => {
    const packed = execFileSync('tar', ['-C', join(folder, '..'), '-cz', 'alpha-1.0.0'])
    const found = await ann.node.call('verifyArchive', { file: await file('no-such-ending', packed) })
    expect(found).toMatchObject({ isCanonical: false, inside: 'alpha-1.0.0', cid, releases: [{ cid }] })
  })

  test.each<readonly [string, RawEntry]>([
    ['a file more', { name: 'more.txt', body: 'x' }],
    ['a module more', { name: 'node_modules/x/index.js', body: 'x' }],
    ['what a file manager dropped', { name: '.DS_Store', body: 'x' }]
  ])('with %s it is no release', async (_, more) => {
    const path = await file('more.tar', rawTar([...(await entriesOf(folder)), more]))
    expect((await ann.node.call('verifyArchive', { file: path })).releases).toEqual([])
  })

  test('an archive that would escape, or is a bomb, is refused, and nothing of it stays', async () => {
    const escape = await file('escape.tgz', gzipSync(rawTar([{ name: '../../escaped', body: 'x' }])))
    const bomb = await file('bomb.tgz', gzipSync(rawTar([{ name: 'zeros', body: Buffer.alloc(4 * 1024 * 1024) }])))
    for (const method of ['verify', 'publish']) {
      const call = (path: string): Promise<unknown> =>
        method === 'verify'
          ? ann.node.call('verifyArchive', { file: path })
          : ann.node.call('publish', { folder: path })
      expect(await refusal(call(escape))).toMatchObject({ code: 'HOSTILE_PATH' })
      expect(await refusal(call(bomb))).toMatchObject({ code: 'LIMIT_EXCEEDED' })
    }
    expect(await leftovers()).toEqual([])
  })
})

test('publish of an archive is that of its folder', async () => {
  const other = await packageFolder({ name: 'beta', files: { run: '#!/bin/sh\n' } })
  const entries = (await entriesOf(other)).map(entry => ({
    ...entry,
    name: `package/${entry.name}`,
    mode: entry.name === 'run' ? 0o755 : 0o644
  }))
  const archive = await file('beta.tgz', gzipSync(rawTar(entries)))
  const published = await ann.node.call('publish', { folder: archive })
  expect(published).toMatchObject({ name: 'ggen/beta', files: 3, already: false })
  expect((await ann.node.call('verifyFolder', { folder: other })).cid).toBe(published.cid)
  expect(await ann.node.call('publish', { folder: archive })).toMatchObject({ already: true })
})

test('what a crash left of an archive is gone after the next start', async () => {
  const first = await somebody()
  const { home } = first.node
  await first.node.stop()
  // No process has this number: the largest on Linux is 2^22.
  await mkdir(join(home, '.tmp-99999999-00', 'half'), { recursive: true })
  // In a container the next start has the number of the last one.
  await mkdir(join(home, `.tmp-${process.pid}-00`, 'half'), { recursive: true })
  const second = await somebody(home)
  expect((await readdir(home)).filter(name => name.startsWith('.tmp-'))).toEqual([])
  await second.node.stop()
})
