import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseRegistryId } from '../protocol/cid.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { parsePrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { writeDurably } from '../storage/durable.ts'
import { readSmallFile } from '../storage/small-file.ts'

/** Whom a token is for, and until when. */
export interface GatewayPass {
  readonly registry: RegistryId
  readonly member: Principal
  /** Milliseconds since 1970, whole seconds. */
  readonly expires: number
}

const SECRET_BYTES = 32

/**
 * Tokens that show a member of a private registry its packages over plain HTTP: who it is, until when, and a MAC of this node.
 *
 *   token = "ggen1." registry "." did ":" … "." seconds "." base64url(HMAC-SHA-256(secret, all before the last dot))
 *
 * Nothing is kept of a token. It is good as long as its key is that of a member: whoever is expelled is out with the fact
 * that says so. A new secret ends all of them.
 */
export class GatewayTokens {
  readonly #file: string
  #secret: Uint8Array | undefined

  constructor(folder: string) {
    this.#file = join(folder, 'gateway.key')
  }

  /** @throws RegistryError UNSAFE_PERMISSIONS | STORE_CORRUPT */
  async load(): Promise<void> {
    let bytes: Buffer
    try {
      bytes = await readSmallFile(this.#file, { maxBytes: SECRET_BYTES })
      const { mode } = await stat(this.#file)
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw new RegistryError('UNSAFE_PERMISSIONS', `other users can read ${this.#file}`, {
          next: 'run ggen-node gateway token --renew, which ends all tokens and writes another one'
        })
      }
    } catch (error) {
      if (isRegistryError(error) && error.code === 'UNSAFE_PERMISSIONS') throw error
      // None was ever given out; or the file is damaged, and none that was is good any more.
      return
    }
    if (bytes.length === SECRET_BYTES) this.#secret = Uint8Array.from(bytes)
  }

  /** A token; the secret is made with the first one, and anew with `renew`. */
  async issue({ registry, member, expires }: GatewayPass, { renew }: { readonly renew: boolean }): Promise<string> {
    if (this.#secret === undefined || renew) {
      const fresh = new Uint8Array(randomBytes(SECRET_BYTES))
      await writeDurably(this.#file, fresh, { mode: 0o600 })
      this.#secret = fresh
    }
    const said = `ggen1.${registry}.${member}.${Math.floor(expires / 1_000)}`
    return `${said}.${macOf(this.#secret, said).toString('base64url')}`
  }

  /** Whom a token is for, when it is one of this node's and not over. Nothing of it is read before its MAC holds. */
  open(token: string, now: number): GatewayPass | undefined {
    const at = token.lastIndexOf('.')
    if (this.#secret === undefined || at < 0) return undefined
    const said = token.slice(0, at)
    const given = Buffer.from(token.slice(at + 1), 'base64url')
    const wanted = macOf(this.#secret, said)
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined
    const [kind, registry = '', member = '', seconds = ''] = said.split('.')
    const expires = Number(seconds) * 1_000
    if (kind !== 'ggen1' || !(expires > now)) return undefined
    return { registry: parseRegistryId(registry), member: parsePrincipal(member), expires }
  }
}

function macOf(secret: Uint8Array, said: string): Buffer {
  return createHmac('sha256', secret).update(said).digest()
}
