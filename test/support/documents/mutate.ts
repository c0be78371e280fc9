import type { Rng } from '../../simulation/rng.ts'
import { chunk, contentsOf, sealed } from '../raw-change.ts'

/** Other bytes, most of which have the right length and checksum: those get further. */
export function mutate(bytes: Uint8Array, rng: Rng): Uint8Array {
  const careless = rng.int(8) === 0
  const out = [...(careless ? bytes : contentsOf(bytes))]
  for (let left = 1 + rng.int(3); left > 0; left--) mutateOnce(out, rng)
  if (careless) return rng.int(2) === 0 ? Uint8Array.from(out) : sealed(Uint8Array.from(out))
  return chunk(1, Uint8Array.from(out))
}

/** Numbers at the edges of what fits into one byte, as both kinds of LEB128. */
const TELLING = [0, 1, 2, 3, 0x3f, 0x40, 0x7e, 0x7f, 0x80, 0xff]

function mutateOnce(out: number[], rng: Rng): void {
  const at = rng.int(out.length + 1)
  const value = rng.int(2) === 0 ? (TELLING[rng.int(TELLING.length)] ?? 0) : rng.int(256)
  switch (rng.int(6)) {
    case 0:
      out[Math.min(at, out.length - 1)] = (out[at] ?? 0) ^ (1 << rng.int(8))
      break
    case 1:
      out[Math.min(at, out.length - 1)] = value
      break
    case 2:
      out.splice(at, 0, value)
      break
    case 3:
      out.splice(at, 1 + rng.int(4))
      break
    case 4:
      out.splice(at, 0, ...out.slice(at, at + 1 + rng.int(40)))
      break
    case 5:
      out.splice(at, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)
      break
    default:
  }
}
