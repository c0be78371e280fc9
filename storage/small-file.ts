import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { RegistryError } from '../protocol/errors.ts'

export interface SmallFileOptions {
  readonly maxBytes: number
  /** Whether a symbolic link may stand for the file. Not where a stranger may have put it. */
  readonly followLinks?: boolean
  /** Whether a pipe or a device will do, such as a passphrase that another program writes. */
  readonly anyKind?: boolean
}

/**
 * The whole of a small file. Attack: a link to a device that never ends, a pipe that nobody writes to, a file that grows
 * while it is read: never more than one byte beyond the limit, and no waiting for anybody.
 *
 * @throws RegistryError LIMIT_EXCEEDED | UNKNOWN_FILE for what is no regular file; else what the system says
 */
export async function readSmallFile(
  path: string,
  { maxBytes, followLinks = false, anyKind = false }: SmallFileOptions
): Promise<Buffer> {
  const nofollow = followLinks ? 0 : (constants.O_NOFOLLOW ?? 0)
  const nonblock = anyKind ? 0 : (constants.O_NONBLOCK ?? 0)
  const handle = await open(path, constants.O_RDONLY | nofollow | nonblock)
  try {
    const stats = await handle.stat()
    if (!anyKind && !stats.isFile()) throw new RegistryError('UNKNOWN_FILE', `${path} is not a regular file`)
    const bytes = Buffer.alloc(anyKind ? maxBytes + 1 : Math.min(stats.size, maxBytes) + 1)
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    if (length > maxBytes) throw new RegistryError('LIMIT_EXCEEDED', `${path} has more than ${maxBytes} bytes`)
    return bytes.subarray(0, length)
  } finally {
    await handle.close()
  }
}
