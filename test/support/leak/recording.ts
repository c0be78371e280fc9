import { closeSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** Something that a witness received: bytes as they came, on one channel (a connection, a socket). */
export interface Received {
  /** Milliseconds since 1970. */
  readonly at: number
  /** `muxed …`: a decrypted connection, yamux frames; anything else: bytes or datagrams that are read as they are. */
  readonly channel: string
  readonly bytes: Uint8Array
}

/**
 * Where a witness writes what it receives, at once, so that nothing is lost with its process.
 *
 *   record = header length (4 bytes) body length (4 bytes) header (JSON {at, channel}) body
 */
export interface Recording {
  write(channel: string, bytes: Uint8Array): void
  close(): void
}

const LENGTHS_BYTES = 8

export function openRecording(path: string): Recording {
  const fd = openSync(path, 'a', 0o600)
  return {
    write: (channel, bytes) => {
      const header = Buffer.from(JSON.stringify({ at: Date.now(), channel }))
      const lengths = Buffer.alloc(LENGTHS_BYTES)
      lengths.writeUInt32BE(header.length, 0)
      lengths.writeUInt32BE(bytes.length, 4)
      const whole = Buffer.concat([lengths, header, bytes])
      for (let done = 0; done < whole.length;) done += writeSync(fd, whole, done)
    },
    close: () => closeSync(fd)
  }
}

/** Everything that was recorded so far. A record that is being written just now is left for the next time. */
export async function readRecording(path: string): Promise<readonly Received[]> {
  const file = await readFile(path)
  const records: Received[] = []
  for (let at = 0; at + LENGTHS_BYTES <= file.length;) {
    const header = at + LENGTHS_BYTES
    const body = header + file.readUInt32BE(at)
    const end = body + file.readUInt32BE(at + 4)
    if (end > file.length) break
    const said = JSON.parse(file.toString('utf8', header, body)) as { at: number; channel: string }
    records.push({ ...said, bytes: file.subarray(body, end) })
    at = end
  }
  return records
}
