const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40
}

/**
 * The bytes that a person means, or undefined when the text says no such thing:
 *
 *   size = number [" "] ["B" / "kB" / "MB" / "GB" / "TB" / "KiB" / "MiB" / "GiB" / "TiB"]
 *
 * Without a unit they are bytes; case does not count.
 */
export function parseByteSize(text: string): number | undefined {
  const parts = /^(\d{1,15}(?:\.\d{1,3})?) ?([a-z]{0,3})$/i.exec(text.trim())
  if (parts === null) return undefined
  const [, number = '', unit = ''] = parts
  const factor = UNITS[unit === '' ? 'b' : unit.toLowerCase()]
  const bytes = factor === undefined ? Number.NaN : Math.floor(Number(number) * factor)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
