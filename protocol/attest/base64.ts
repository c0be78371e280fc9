const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Sextet of each character code in either alphabet; 255: none. */
const SEXTETS = new Uint8Array(128).fill(255)
for (let value = 0; value < STANDARD.length; value++) SEXTETS[STANDARD.charCodeAt(value)] = value
SEXTETS['-'.charCodeAt(0)] = 62
SEXTETS['_'.charCodeAt(0)] = 63

/**
 * The bytes of base64 in the standard or the URL-safe alphabet (RFC 4648 sections 4 and 5), padded or not; undefined for anything
 * else. Bits that belong to no byte must be nought: else one signature had four spellings.
 */
export function fromBase64(text: string): Uint8Array | undefined {
  const end = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
  if (end % 4 === 1 || (end !== text.length && text.length % 4 !== 0)) return undefined
  const out = new Uint8Array(Math.floor((end * 3) / 4))
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < end; i++) {
    const sextet = SEXTETS[text.charCodeAt(i)] ?? 255
    if (sextet === 255) return undefined
    bits = (bits << 6) | sextet
    held += 6
    if (held < 8) continue
    held -= 8
    out[at] = bits >> held
    at += 1
    bits &= (1 << held) - 1
  }
  return bits === 0 ? out : undefined
}

/** Base64 in the standard alphabet, padded: what other tools write into envelopes. */
export function toBase64(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b, c] = [bytes[i], bytes[i + 1], bytes[i + 2]]
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0)
    out +=
      char(bits >> 18) +
      char(bits >> 12) +
      (b === undefined ? '=' : char(bits >> 6)) +
      (c === undefined ? '=' : char(bits))
  }
  return out
}

function char(bits: number): string {
  return STANDARD.charAt(bits & 63)
}
