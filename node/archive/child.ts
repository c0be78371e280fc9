import { createGunzip } from 'node:zlib'
import { isRegistryError, RegistryError } from '../../protocol/errors.ts'
import { formatFrame, LENGTH_BYTES, parseLength, REFUSALS } from '../../protocol/foreign/frames.ts'
import type { Frame } from '../../protocol/foreign/frames.ts'
import { kindOf } from '../../protocol/foreign/kind.ts'
import { TarReader } from '../../protocol/foreign/tar-reader.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { drained } from './drained.ts'
import { Input } from './input.ts'

/*
 * The program of the process that reads an archive of others: the archive on standard input, frames on standard output. It
 * may write no file, start no process and read nothing but its own code; it has a small heap and no environment.
 */

const GZIP_FAULTS: readonly (readonly [code: RegExp, what: string])[] = [
  [/^Z_/, 'its gzip is damaged or cut off'],
  [/^ERR_TRAILING_JUNK/, 'something stands behind its gzip']
]
const { frameBytes, freeBytes, ratio, unpackedBytes } = LIMITS.foreign

try {
  const input = new Input(process.stdin)
  const length = parseLength(await input.whole(LENGTH_BYTES))
  await readArchive(input.next(length), () => undefined)
  say({ type: 'listed' })
  await readArchive(input.next(length), chunk => {
    for (let at = 0; at < chunk.length; at += frameBytes)
      say({ type: 'bytes', bytes: chunk.subarray(at, at + frameBytes) })
  })
  say({ type: 'end' })
} catch (error) {
  const refusal = refusalOf(error)
  // A fault of ours is told by ending without a word.
  if (refusal === undefined) throw error
  say(refusal)
}

/** The archive comes twice: once for what is in it, and when that is well for the bytes. Neither process could hold it meanwhile. */
async function readArchive(
  archive: AsyncGenerator<Uint8Array, void, void>,
  onBytes: (chunk: Uint8Array) => void
): Promise<void> {
  const tar = new TarReader({
    entry: ({ kind, path, size, executable }) =>
      say(kind === 'file' ? { type: 'file', path, size, executable } : { type: 'directory', path }),
    bytes: onBytes
  })
  let taken = 0
  let unpacked = 0
  const packed = async function* (): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of archive) {
      taken += chunk.length
      yield chunk
    }
  }
  for await (const chunk of plain(packed())) {
    unpacked += chunk.length
    if (unpacked > unpackedBytes || unpacked > ratio * taken + freeBytes)
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `the archive unpacks to more than ${unpackedBytes} bytes, or more than ${ratio} times its own size`
      )
    tar.write(chunk)
    // Whoever takes the frames is slower than we are: no more than one chunk of them waits here.
    await drained(process.stdout)
  }
  tar.end()
}

/**
 * Unpacks gzip, once: what is packed twice is nothing that we look into. One part and nothing behind it: of several some programs
 * read the first, and of what is no part some say nothing.
 */
async function* plain(packed: AsyncGenerator<Uint8Array, void, void>): AsyncGenerator<Uint8Array, void, void> {
  const { value: first } = await packed.next()
  if (first === undefined) return
  const all = async function* (): AsyncGenerator<Uint8Array, void, void> {
    yield first
    yield* packed
  }
  if (kindOf(first).kind !== 'gzip') return yield* all()
  const gunzip = createGunzip({ chunkSize: frameBytes, rejectGarbageAfterEnd: true })
  const fed = feed(all(), gunzip)
  fed.catch((error: unknown) => gunzip.destroy(error instanceof Error ? error : undefined))
  for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk
  await fed
}

async function feed(packed: AsyncIterable<Uint8Array>, gunzip: ReturnType<typeof createGunzip>): Promise<void> {
  for await (const chunk of packed) {
    if (gunzip.destroyed) return
    gunzip.write(chunk)
    await drained(gunzip)
  }
  gunzip.end()
}

function say(frame: Frame): void {
  process.stdout.write(formatFrame(frame))
}

function refusalOf(error: unknown): Frame | undefined {
  if (isRegistryError(error)) {
    const code = REFUSALS.find(one => one === error.code)
    return code === undefined ? undefined : { type: 'refused', code, message: error.message }
  }
  const why =
    error instanceof Error && 'code' in error ? GZIP_FAULTS.find(([code]) => code.test(String(error.code))) : undefined
  return why === undefined
    ? undefined
    : { type: 'refused', code: 'MALFORMED', message: `the archive can't be unpacked: ${why[1]}` }
}
