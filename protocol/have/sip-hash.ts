/** 64 bits as two halves. */
export interface Hash64 {
  readonly high: number
  readonly low: number
}

const ROUNDS_PER_WORD = 2
const LAST_ROUNDS = 4

/**
 * SipHash-2-4. Which of two roots collide depends on the key, so nobody can make roots that collide for every host.
 * In halves of 32 bits and with nothing but local numbers: about a microsecond for a digest, a small part of what 64-bit integers take.
 */
export function sipHash(key: Uint8Array, message: Uint8Array): Hash64 {
  const [k0l = 0, k0h = 0, k1l = 0, k1h = 0] = wordsOf(key)
  let [ah, al] = [k0h ^ 0x736f6d65, k0l ^ 0x70736575]
  let [bh, bl] = [k1h ^ 0x646f7261, k1l ^ 0x6e646f6d]
  let [ch, cl] = [k0h ^ 0x6c796765, k0l ^ 0x6e657261]
  let [dh, dl] = [k1h ^ 0x74656462, k1l ^ 0x79746573]
  const words = wordsOf(message)
  const rounds = (words.length / 2) * ROUNDS_PER_WORD
  for (let round = 0; round < rounds + LAST_ROUNDS; round++) {
    const word = round < rounds ? (round >> 1) * 2 : undefined
    if (word !== undefined && (round & 1) === 0) {
      dl ^= words[word] ?? 0
      dh ^= words[word + 1] ?? 0
    }
    if (round === rounds) cl ^= 0xff
    // a += b, b = rotate(b, 13) ^ a, a = rotate(a, 32)
    let low = (al >>> 0) + (bl >>> 0)
    ah = (ah + bh + (low > 0xffff_ffff ? 1 : 0)) | 0
    al = low | 0
    let turned = (bh << 13) | (bl >>> 19)
    bl = ((bl << 13) | (bh >>> 19)) ^ al
    bh = turned ^ ah
    turned = ah
    ah = al
    al = turned
    // c += d, d = rotate(d, 16) ^ c
    low = (cl >>> 0) + (dl >>> 0)
    ch = (ch + dh + (low > 0xffff_ffff ? 1 : 0)) | 0
    cl = low | 0
    turned = (dh << 16) | (dl >>> 16)
    dl = ((dl << 16) | (dh >>> 16)) ^ cl
    dh = turned ^ ch
    // a += d, d = rotate(d, 21) ^ a
    low = (al >>> 0) + (dl >>> 0)
    ah = (ah + dh + (low > 0xffff_ffff ? 1 : 0)) | 0
    al = low | 0
    turned = (dh << 21) | (dl >>> 11)
    dl = ((dl << 21) | (dh >>> 11)) ^ al
    dh = turned ^ ah
    // c += b, b = rotate(b, 17) ^ c, c = rotate(c, 32)
    low = (cl >>> 0) + (bl >>> 0)
    ch = (ch + bh + (low > 0xffff_ffff ? 1 : 0)) | 0
    cl = low | 0
    turned = (bh << 17) | (bl >>> 15)
    bl = ((bl << 17) | (bh >>> 15)) ^ cl
    bh = turned ^ ch
    turned = ch
    ch = cl
    cl = turned
    if (word !== undefined && (round & 1) === 1) {
      al ^= words[word] ?? 0
      ah ^= words[word + 1] ?? 0
    }
  }
  return { high: (ah ^ bh ^ ch ^ dh) >>> 0, low: (al ^ bl ^ cl ^ dl) >>> 0 }
}

/** Low and high halves, little-endian, the length in the last byte. */
function wordsOf(message: Uint8Array): Int32Array {
  const words = new Int32Array((Math.floor(message.length / 8) + 1) * 2)
  for (let i = 0; i < message.length; i++) words[i >> 2] = (words[i >> 2] ?? 0) | ((message[i] ?? 0) << ((i & 3) * 8))
  const last = words.length - 1
  words[last] = (words[last] ?? 0) | (message.length << 24)
  return words
}
