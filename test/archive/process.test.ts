import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { startReader } from '../../node/archive/reader-process.ts'
import { unpackArchive } from '../../node/archive/unpack.ts'
import type { UnpackedArchive } from '../../node/archive/unpack.ts'
import { packagePath } from '../../node/package-root.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { formatLength, FrameReader } from '../../protocol/foreign/frames.ts'
import type { Frame } from '../../protocol/foreign/frames.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { packageFolder } from '../support/package-folder.ts'
import { rawTar } from '../support/raw-tar.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClock } from '../support/test-clock.ts'
import type { TestClock } from '../support/test-clock.ts'

const WORST = new URL('../support/children/archive-reader.ts', import.meta.url)
const USAGE = new URL('../support/children/archive-usage.ts', import.meta.url)
const MiB = 1024 * 1024

interface Run {
  readonly bytes: Uint8Array
  readonly program?: URL
  readonly clock?: TestClock
  readonly signal?: AbortSignal
  readonly root?: string
}

interface Unpacking {
  readonly target: string
  readonly pids: number[]
  readonly done: Promise<UnpackedArchive>
}

async function start({
  bytes,
  program,
  clock = testClock(),
  signal = new AbortController().signal,
  root = packagePath()
}: Run): Promise<Unpacking> {
  const folder = await tempDir('archive')
  const [file, target] = [join(folder, 'archive'), join(folder, 'target')]
  await writeFile(file, bytes)
  await mkdir(target)
  const pids: number[] = []
  const reader = { root, onStart: (pid: number) => pids.push(pid), ...(program && { file: program }) }
  return { target, pids, done: unpackArchive({ clock, program: reader }, { file, target }, signal) }
}

const codeOf = async (run: Run): Promise<string> => {
  const { done, pids } = await start(run)
  const code = await codeOfAsync(() => done)
  for (const pid of pids) expect(isRunning(pid)).toBe(false)
  return code
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const order = (deed: string): Uint8Array => Buffer.from(`\x1f\x8b${deed}`, 'latin1')

describe('the process that reads an archive', () => {
  test('reads what GNU tar packs, in all of its forms, as the folder it was', async () => {
    const files = { [`src/${'ü'.repeat(60)}/${'n'.repeat(90)}.txt`]: 'long', 'bin/run': 'run', empty: '' }
    const folder = await packageFolder({ name: 'packed', files })
    const { root } = await importFolder(folder, { put: cid => cid })
    for (const form of ['gnu', 'posix']) {
      const { stdout } = await promisify(execFile)('tar', [`--format=${form}`, '-C', folder, '-cz', '.'], {
        encoding: 'buffer'
      })
      const { target, done } = await start({ bytes: stdout })
      expect((await done).files).toBe(5)
      expect((await importFolder(target, { put: cid => cid })).root).toBe(root)
    }
  })

  test('says that an archive would escape, and nothing is where it led', async () => {
    const archive = rawTar([
      { name: 'good', body: 'x' },
      { name: '../escaped', body: 'x' }
    ])
    const { target, done } = await start({ bytes: gzipSync(archive) })
    expect(await codeOfAsync(() => done)).toBe('HOSTILE_PATH')
    expect(existsSync(join(target, '..', 'escaped'))).toBe(false)
    expect(await readdir(target)).toEqual([])
  })

  test('gives up a bomb before it has gone off', async () => {
    const zeros = rawTar([{ name: 'zeros', body: Buffer.alloc(16 * 1024 * 1024) }])
    const { target, done } = await start({ bytes: gzipSync(zeros) })
    expect(await codeOfAsync(() => done)).toBe('LIMIT_EXCEEDED')
    expect(await readdir(target)).toEqual([])
  })

  test('counts more files and folders than a package may have before the first is made', async () => {
    const deep = '/d'.repeat(LIMITS.content.depth - 2)
    const entries = Array.from({ length: 1_800 }, (_, i) => ({ name: `${i}${deep}/f`, body: '' }))
    const { target, done } = await start({ bytes: gzipSync(rawTar(entries), { level: 1 }) })
    expect(await codeOfAsync(() => done)).toBe('LIMIT_EXCEEDED')
    expect(await readdir(target)).toEqual([])
  })

  test('does not look into what is packed twice, damaged, or cut off', async () => {
    expect(await codeOf({ bytes: rawTar([{ name: 'a', body: 'a' }], { end: 0 }) })).toBe('MALFORMED')
    const archive = gzipSync(rawTar([{ name: 'a', body: 'a'.repeat(5_000) }]))
    expect(await codeOf({ bytes: gzipSync(archive) })).toBe('MALFORMED')
    expect(await codeOf({ bytes: archive.subarray(0, -20) })).toBe('MALFORMED')
    expect(await codeOf({ bytes: order('nonsense') })).toBe('MALFORMED')
  })

  test.each([
    ['another part', gzipSync(rawTar([{ name: 'b', body: 'b' }]))],
    ['a zip', Buffer.from('PK\x03\x04')],
    ['zeros', Buffer.alloc(10)]
  ])('does not pass over %s behind its gzip', async (_, more) => {
    expect(await codeOf({ bytes: Buffer.concat([gzipSync(rawTar([{ name: 'a', body: 'a' }])), more]) })).toBe(
      'MALFORMED'
    )
  })

  test.each([
    ['of zeros', [{ name: 'zeros', body: Buffer.alloc(32 * MiB) }]],
    ['of what is said of one entry', [{ name: 'p', type: 'x', body: Buffer.alloc(MiB) }]],
    ['of entries', Array.from({ length: 20_000 }, (_, i) => ({ name: `d/${i}`, body: '' }))]
  ])('takes less than 128 MiB of memory for a bomb %s', async (_, entries) => {
    const { input, output, gone } = startReader({ root: packagePath(), file: USAGE }, await tempDir('archive'))
    const [frames, reader]: [Frame[], FrameReader] = [[], new FrameReader()]
    output.on('data', (chunk: Buffer) => frames.push(...reader.read(chunk)))
    const archive = gzipSync(rawTar(entries))
    input.end(Buffer.concat([formatLength(archive.length), archive, archive]))
    await gone
    const last = frames.at(-1)
    const kiB = Number(last?.type === 'directory' ? last.path : undefined)
    expect(kiB).toBeGreaterThan(16 * 1024)
    expect(kiB).toBeLessThan(128 * 1024)
  })

  test.each([
    ['a zip', Buffer.from('PK\x03\x04')],
    ['text', Buffer.from('hello')],
    ['nothing', Buffer.alloc(0)]
  ])('is not even started for %s', async (_, bytes) => {
    const { pids, done } = await start({ bytes })
    expect(await codeOfAsync(() => done)).toBe('MALFORMED')
    expect(pids).toEqual([])
  })

  test('is not even started for more than an archive may have, or for what is no file', async () => {
    const folder = await tempDir('archive')
    const [large, pipe] = [join(folder, 'large'), join(folder, 'pipe')]
    await writeFile(large, gzipSync('x'))
    await truncate(large, LIMITS.foreign.fileBytes + 1)
    await promisify(execFile)('mkfifo', [pipe])
    for (const [file, code] of [
      [large, 'LIMIT_EXCEEDED'],
      [pipe, 'UNKNOWN_FILE'],
      [folder, 'UNKNOWN_FILE']
    ] as const) {
      const started: number[] = []
      const program = { root: packagePath(), onStart: (pid: number) => void started.push(pid) }
      const order = { file, target: join(folder, 'target') }
      const unpacking = unpackArchive({ clock: testClock(), program }, order, new AbortController().signal)
      expect(await codeOfAsync(() => unpacking)).toBe(code)
      expect(started).toEqual([])
    }
  })

  test.each([
    ['tells of a way out', 'escape', 'HOSTILE_PATH'],
    ['sends more than it announced', 'long', 'INTERNAL'],
    ['sends less than it announced', 'short', 'MALFORMED'],
    ['sends a file in the middle of another', 'file early', 'INTERNAL'],
    ['sends a folder in the middle of a file', 'folder early', 'INTERNAL'],
    ['sends bytes of no file', 'bytes of nothing', 'INTERNAL'],
    ['goes on after its end', 'end twice', 'INTERNAL'],
    ['lists nothing', 'no list', 'INTERNAL'],
    ['lists twice', 'listed twice', 'INTERNAL'],
    ['sends bytes before it has listed all', 'bytes in the list', 'INTERNAL'],
    ['sends what is no frame', 'noise', 'INTERNAL'],
    ['ends as if all were said', 'exit 0', 'MALFORMED'],
    ['gives up by itself', 'exit 3', 'INTERNAL'],
    ['ends as where a signal is told by a number', 'exit 134', 'MALFORMED'],
    ['is killed', 'die', 'MALFORMED'],
    ['wants more memory than it may have', 'heap', 'MALFORMED']
  ])('that %s is believed nothing, and gone', async (_, deed, code) => {
    expect(await codeOf({ bytes: order(deed), program: WORST })).toBe(code)
  })

  test('may write nothing, read nothing but its own code, and start nothing, and has no environment', async () => {
    const { target, done } = await start({ bytes: order('rights'), program: WORST })
    await done
    expect(await readdir(target)).toEqual(['tried'])
  })

  test.each([
    ['that is not there', new URL('no-such-reader.ts', WORST), packagePath()],
    ['that may not read its own code', undefined, '/no/such/folder']
  ])('%s is the fault of nobody who sent an archive', async (_, program, root) => {
    const archive = { bytes: rawTar([{ name: 'a' }]), root }
    expect(await codeOf(program === undefined ? archive : { ...archive, program })).toBe('INTERNAL')
  })

  test('is sent an archive that is another one the second time, and is not believed', async () => {
    const folder = await tempDir('archive')
    const [file, target] = [join(folder, 'archive'), join(folder, 'target')]
    await Promise.all([writeFile(file, order('changed')), mkdir(target)])
    let pid = 0
    const program = { root: packagePath(), file: WORST, onStart: (started: number) => void (pid = started) }
    const isSent = once(process, 'SIGUSR2')
    const done = unpackArchive({ clock: testClock(), program }, { file, target }, new AbortController().signal)
    const code = codeOfAsync(() => done)
    await isSent
    await writeFile(file, order('CHANGED'))
    process.kill(pid, 'SIGUSR2')
    expect(await code).toBe('FILE_CHANGED')
  })

  test('ends by itself when nobody is there any more who asked', async () => {
    const { input, gone } = startReader({ root: packagePath() }, await tempDir('archive'))
    input.write(Buffer.concat([formatLength(2_048), rawTar([{ name: 'half', body: 'x' }]).subarray(0, 512)]))
    input.destroy()
    expect(await gone).toEqual({ code: 0 })

    const deaf = startReader({ root: packagePath() }, await tempDir('archive'))
    deaf.output.destroy()
    const much = rawTar([{ name: 'much', body: Buffer.alloc(MiB) }])
    deaf.input.write(Buffer.concat([formatLength(much.length), much, much]))
    expect((await deaf.gone).code).not.toBe(0)
  })

  test('that hangs is ended when its time is over, or by who asked', async () => {
    const clock = testClock()
    const late = await start({ bytes: order('hang'), program: WORST, clock })
    const ended = codeOfAsync(() => late.done)
    await appears(late.target, 'hangs')
    await clock.advance(LIMITS.foreign.deadlineMs)
    expect(await ended).toBe('TIMEOUT')
    expect(clock.pending()).toBe(0)

    const asked = new AbortController()
    const left = await start({ bytes: order('hang'), program: WORST, signal: asked.signal })
    const cancelled = codeOfAsync(() => left.done)
    await appears(left.target, 'hangs')
    asked.abort(new RegistryError('CANCELLED', 'interrupted'))
    expect(await cancelled).toBe('CANCELLED')
    for (const pid of [...late.pids, ...left.pids]) expect(isRunning(pid)).toBe(false)
  })
})

async function appears(folder: string, name: string): Promise<void> {
  const watcher = watch(folder)
  try {
    while (!(await readdir(folder)).includes(name)) await once(watcher, 'change')
  } finally {
    watcher.close()
  }
}
