import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { equalBytes } from '../../protocol/bytes.ts'
import { showPath } from '../../protocol/content-path.ts'
import { messageOf, RegistryError } from '../../protocol/errors.ts'
import { formatLength, FrameReader } from '../../protocol/foreign/frames.ts'
import { kindOf } from '../../protocol/foreign/kind.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { drained } from './drained.ts'
import { notStarted, startReader } from './reader-process.ts'
import type { Ending, ReaderProcess, ReaderProgram } from './reader-process.ts'
import { TreePlan, TreeWriter } from './tree-writer.ts'

/** What unpacking uses of the node. */
export interface UnpackComponents {
  readonly clock: Pick<Clock, 'after'>
  readonly program: ReaderProgram
}

export interface UnpackOrder {
  readonly file: string
  /** An empty folder of ours, to which nobody else writes. What is in it after a failure is removed by whoever made it. */
  readonly target: string
}

export interface UnpackedArchive {
  /** Of the file as it is. */
  readonly sha256: Uint8Array
  readonly bytes: number
  readonly files: number
}

/**
 * Unpacks a tar archive that somebody else made, packed with gzip or not. Its bytes are read by a process of their own and
 * nobody else: this one passes them on, and takes back paths and bytes, which it checks like those of a folder.
 *
 * @throws RegistryError UNKNOWN_FILE | MALFORMED | HOSTILE_PATH | LIMIT_EXCEEDED | TIMEOUT | FILE_CHANGED
 */
export async function unpackArchive(
  { clock, program }: UnpackComponents,
  { file, target }: UnpackOrder,
  signal: AbortSignal
): Promise<UnpackedArchive> {
  const handle = await openArchive(file)
  const done = new AbortController()
  const late = new AbortController()
  const { deadlineMs } = LIMITS.foreign
  const abort = AbortSignal.any([signal, late.signal])
  clock.after(deadlineMs, () => late.abort(tooSlow(deadlineMs)), done.signal)
  let reader: ReaderProcess | undefined
  try {
    reader = startReader(program, target)
    const { kill } = reader
    abort.addEventListener('abort', kill, { once: true })
    if (abort.aborted) kill()
    const tree = new TreeWriter(target)
    const listed = Promise.withResolvers<void>()
    const taken = take(reader, tree, listed.resolve)
    // However it ends: who waits to send the archive again need not.
    taken.then(listed.resolve, listed.resolve)
    const [fed, read] = await Promise.allSettled([feed(handle, reader.input, listed.promise), taken])
    abort.throwIfAborted()
    // A file that cannot be read to its end says nothing of what is in it.
    if (fed.status === 'rejected') throw asError(fed.reason)
    if (read.status === 'rejected') throw asError(read.reason)
    return { ...fed.value, files: tree.files }
  } finally {
    done.abort()
    await reader?.end()
    await handle.close()
  }
}

/** @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED | MALFORMED */
async function openArchive(file: string): Promise<FileHandle> {
  // Without O_NONBLOCK a pipe that nobody writes to would hold us here.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${showPath(file)} does not exist or can't be read`, { cause })
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new RegistryError('UNKNOWN_FILE', `${showPath(file)} is not a regular file`)
    if (stats.size > LIMITS.foreign.fileBytes)
      throw new RegistryError('LIMIT_EXCEEDED', `an archive has at most ${LIMITS.foreign.fileBytes} bytes`)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LIMITS.foreign.sniffedBytes), 0, undefined, 0)
    const found = kindOf(buffer.subarray(0, bytesRead))
    if (found.kind === 'tar' || found.kind === 'gzip') return handle
    throw new RegistryError(
      'MALFORMED',
      found.kind === 'other'
        ? `${showPath(file)} is ${found.name}, which is not read`
        : `${showPath(file)} is no archive`,
      { next: 'unpack it yourself and name the folder; archives are read as .tar and .tar.gz' }
    )
  } catch (error) {
    await handle.close()
    throw error
  }
}

type Digested = Pick<UnpackedArchive, 'sha256' | 'bytes'>

/** Sends the archive, and when all that is in it was listed once more. */
async function feed(handle: FileHandle, input: Writable, listed: Promise<void>): Promise<Digested> {
  try {
    const { size } = await handle.stat()
    input.write(formatLength(size))
    const first = await send(handle, input, size)
    await listed
    if (input.destroyed) return first
    const second = await send(handle, input, size)
    // Attack: other files behind the names that were looked at. They are looked at again, and are not those that this digest is of.
    if (!equalBytes(first.sha256, second.sha256)) throw changed()
    return first
  } finally {
    // Also after a failure: the reader would wait for more.
    input.end()
  }
}

/** Reads the file to its end, whether or not the reader listens so long: its digest is that of all of it. */
async function send(handle: FileHandle, input: Writable, size: number): Promise<Digested> {
  const hash = createHash('sha256')
  let bytes = 0
  for (;;) {
    const chunk = Buffer.allocUnsafeSlow(LIMITS.foreign.frameBytes)
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, bytes)
    if (bytesRead === 0) break
    bytes += bytesRead
    if (bytes > size) break
    const part = chunk.subarray(0, bytesRead)
    hash.update(part)
    if (input.destroyed) continue
    input.write(part)
    await drained(input)
  }
  if (bytes !== size) throw changed()
  return { sha256: new Uint8Array(hash.digest()), bytes }
}

function changed(): RegistryError {
  return new RegistryError('FILE_CHANGED', 'the archive changed while it was being read')
}

/**
 * Takes the list, and only when all of it may be written the files.
 * Attack: a reader that lists what is harmless and sends something else, which is why both are looked at.
 */
async function take(reader: ReaderProcess, tree: TreeWriter, onListed: () => void): Promise<void> {
  const frames = new FrameReader()
  const plan = new TreePlan()
  let at: 'end' | 'files' | 'list' = 'list'
  try {
    for await (const chunk of reader.output as AsyncIterable<Buffer>) {
      for (const frame of frames.read(chunk)) {
        if (frame.type === 'refused') throw new RegistryError(frame.code, frame.message, { next: LOOK })
        if (at === 'end') throw new RegistryError('INTERNAL', 'the process that reads archives went on after the end')
        if (frame.type === 'listed' || frame.type === 'end') {
          if ((frame.type === 'listed') !== (at === 'list'))
            throw new RegistryError('INTERNAL', 'the process that reads archives did not list what is in one')
          if (frame.type === 'listed') onListed()
          at = frame.type === 'listed' ? 'files' : 'end'
        } else if (at === 'list') plan.take(frame)
        else await tree.take(frame)
      }
    }
    if (at !== 'end') throw earlyEnd(await reader.end())
    await tree.end()
  } finally {
    await tree.close()
    reader.kill()
  }
}

/** From here on a code says which signal it was, where the system has no other way to say so. */
const SIGNALLED = 128

/** It tells of every fault of an archive: one that gives up by itself without a word has a fault of its own. */
function earlyEnd({ code, cause }: Ending): RegistryError {
  if (cause !== undefined) return notStarted(cause)
  if (code !== null && code > 0 && code < SIGNALLED)
    return new RegistryError('INTERNAL', 'the process that reads archives failed', { detail: { code } })
  return new RegistryError('MALFORMED', 'the process that read the archive ended before the archive did', {
    tried: ['read it in a process with little memory and no rights'],
    next: LOOK
  })
}

const LOOK = 'look at what is in it: tar -tvf FILE; what is a package is taken as a folder, too'

function tooSlow(ms: number): RegistryError {
  return new RegistryError('TIMEOUT', `the archive was not read in ${ms / 1000} seconds`)
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new RegistryError('INTERNAL', messageOf(reason))
}
