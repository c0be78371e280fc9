/** One entry of a tar archive as an attacker writes it: every field may say what it likes. */
export interface RawEntry {
  readonly name: string | Uint8Array
  readonly type?: string
  readonly body?: string | Uint8Array
  readonly mode?: number
  readonly link?: string
  readonly prefix?: string
  /** What the header says, where that is not the length of the body. */
  readonly size?: number
  readonly magic?: string
  readonly badChecksum?: boolean
  /** Bytes that are written over the header, before its checksum is made. */
  readonly over?: readonly (readonly [at: number, bytes: string | Uint8Array])[]
}

const BLOCK = 512

export function rawTar(entries: readonly RawEntry[], { end = 2 * BLOCK }: { end?: number } = {}): Buffer {
  return Buffer.concat([...entries.map(rawEntry), Buffer.alloc(end)])
}

/** An entry, its bytes and the zeros behind them. */
export function rawEntry(entry: RawEntry): Buffer {
  const body = Buffer.from(entry.body ?? '')
  const header = Buffer.alloc(BLOCK)
  header.set(Buffer.from(entry.name).subarray(0, 100))
  header.write(`${(entry.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100)
  header.write('0000000\x000000000\0', 108)
  header.write(`${(entry.size ?? body.length).toString(8).padStart(11, '0')}\x0000000000000\0`, 124)
  header.write(entry.type ?? '0', 156, 'latin1')
  header.write(entry.link ?? '', 157)
  header.write(entry.magic ?? 'ustar\x0000', 257)
  header.write(entry.prefix ?? '', 345)
  for (const [at, bytes] of entry.over ?? []) header.set(Buffer.from(bytes), at)
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0) + (entry.badChecksum === true ? 1 : 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)])
}

/** `"<length> <key>=<value>\n"` for each. */
export function pax(records: readonly (readonly [key: string, value: string])[], type = 'x'): RawEntry {
  return { name: 'PaxHeader', type, body: records.map(([key, value]) => paxRecord(key, value)).join('') }
}

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + 1
  while (String(length).length + rest !== length) length += 1
  return `${length} ${key}=${value}\n`
}
