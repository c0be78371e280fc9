import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { generateSecret, principalOf } from '../../attestation/keys.ts'
import type { Secret } from '../../attestation/keys.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { parseOsv } from '../../protocol/advisory/osv.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import { parseContentId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody, Subject } from '../../protocol/fact.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import type { CitedAuthority, Genesis, Payload } from '../../protocol/payload.ts'
import { headsOf } from '../../protocol/heads.ts'
import { usePosition } from '../../protocol/payload-invite.ts'
import type { InvitedRole } from '../../protocol/payload-invite.ts'
import { parseScope } from '../../protocol/role.ts'
import type { Role } from '../../protocol/role.ts'
import { parseSemver } from '../../protocol/version.ts'

export interface Person {
  readonly secret: Secret
  readonly did: Principal
  /** 32 hex characters. */
  readonly chain: string
}

/** A key that is the same in every run. */
export function person(name: string, chain = name): Person {
  const secret = generateSecret(createHash('sha256').update(`person ${name}`).digest())
  const chainHex = createHash('sha256').update(`chain ${chain}`).digest('hex').slice(0, 32)
  return { secret, did: principalOf(secret), chain: chainHex }
}

export interface Made {
  readonly id: FactId
  readonly bytes: Uint8Array
  readonly body: FactBody
}

/** Writes valid facts of one registry, keeping each author's chains. What it makes is as a real node would sign it. */
export class FactWriter {
  readonly registry: RegistryId
  readonly root: Person
  readonly genesis: Made
  readonly all: Made[] = []
  readonly #heads = new Map<string, { seq: number; id: FactId }>()
  #time = 1_700_000_000_000

  constructor(root: Person, overrides: Partial<Genesis> = {}) {
    this.root = root
    const value: Genesis = {
      name: 'test',
      roots: [root.did],
      threshold: 1,
      recovery: person('recovery').did,
      admission: 'curated',
      visibility: 'public',
      nonce: new Uint8Array(16),
      ...overrides
    }
    const body = { ...this.#header(root, { type: 'genesis', value }), registry: null, subject: 'registry' as const }
    this.genesis = make({ ...body, chain: root.chain, seq: 0, prev: null }, root)
    this.registry = this.genesis.id as string as RegistryId
    this.all.push(this.genesis)
  }

  write(by: Person, subject: Subject, payload: Payload, at: Partial<FactBody> = {}): Made {
    const key = `${by.did} ${by.chain} ${subject}`
    const head = this.#heads.get(key)
    const seq = head === undefined ? 0 : head.seq + 1
    const body: FactBody = {
      ...this.#header(by, payload),
      registry: this.registry,
      subject,
      chain: by.chain,
      seq,
      prev: head?.id ?? null,
      ...at
    }
    const made = make(body, by)
    this.#heads.set(key, { seq: made.body.seq, id: made.id })
    this.all.push(made)
    return made
  }

  grant(
    key: Principal,
    role: Role,
    options: { authPrev?: FactId; by?: Person; scope?: string; threshold?: number } = {}
  ): Made {
    const { authPrev = this.genesis.id, by = this.root, scope = '*' } = options
    const { threshold = null } = options
    const value = { authPrev, head: null, key, role, scope: parseScope(scope), expires: null, threshold }
    return this.write(by, 'registry', { type: 'grant', value })
  }

  /** Takes roles of a key away; `heads` are the positions that stay recognised, by default all that were written. */
  revoke(
    key: Principal,
    options: {
      by?: Person
      authPrev?: FactId
      role?: Role
      scope?: string
      threshold?: number
      heads?: readonly Made[]
    } = {}
  ): Made {
    const { by = this.root, authPrev = this.genesis.id, role = null, scope = '*', threshold = null } = options
    const { heads = this.all.filter(({ body }) => body.author === key && body.registry !== null) } = options
    const value = {
      authPrev,
      head: null,
      key,
      role,
      scope: parseScope(scope),
      heads: headsOf(heads.map(({ body }) => body)),
      threshold,
      reason: ''
    }
    return this.write(by, 'registry', { type: 'revoke', value })
  }

  /** Lets whoever has `key` give a role away. */
  invite(
    key: Principal,
    options: {
      by?: Person
      authPrev?: FactId
      role?: InvitedRole
      scope?: string
      uses?: number
      expires?: number
    } = {}
  ): Made {
    const { by = this.root, authPrev = this.genesis.id, role = 'publisher', scope = '*', uses = 1 } = options
    const { expires = 1_800_000_000_000 } = options
    const value = { authPrev, head: null, key, role, scope: parseScope(scope), expires, uses }
    return this.write(by, 'registry', { type: 'invite', value })
  }

  /** Uses an invite at its `use`th position, or wherever `at` says. */
  redeem(
    invite: Made,
    key: Principal,
    { by, use = 0, at = {} }: { by: Person; use?: number; at?: Partial<FactBody> }
  ): Made {
    const payload = parsePayload(invite.body)
    if (payload.type !== 'invite') throw new Error(`${payload.type} ${invite.id} is no invite`)
    const { chain } = usePosition(payload.value, use)
    return this.write({ ...by, chain }, 'registry', { type: 'redeem', value: { invite: invite.id, key } }, at)
  }

  /** The same about one package; `authPrev` is the package's own head. */
  packageGrant(
    name: string,
    key: Principal,
    role: Role,
    options: { authPrev: FactId; by?: Person; head?: FactId; threshold?: number }
  ): Made {
    const { authPrev, by = this.root, head = this.genesis.id, threshold = null } = options
    const value = { authPrev, head, key, role, scope: parseScope(`ggen/${name}`), expires: null, threshold }
    return this.write(by, subject(name), { type: 'grant', value })
  }

  packageRevoke(
    name: string,
    key: Principal,
    options: { authPrev: FactId; by?: Person; head?: FactId; role?: Role; heads?: readonly Made[] }
  ): Made {
    const { authPrev, by = this.root, head = this.genesis.id, role = null } = options
    const own = this.all.filter(({ body }) => body.author === key && body.subject === subject(name))
    const heads = headsOf((options.heads ?? own).map(({ body }) => body))
    const scope = parseScope(`ggen/${name}`)
    const value = { authPrev, head, key, role, scope, heads, threshold: null, reason: '' }
    return this.write(by, subject(name), { type: 'revoke', value })
  }

  cosign(by: Person, { id, body }: Made, head: FactId = this.genesis.id): Made {
    return this.write(by, body.subject, { type: 'cosign', value: { fact: id, head } })
  }

  resolve(
    keep: Made,
    over: readonly Made[],
    {
      by = this.root,
      authPrev = this.genesis.id,
      head = this.genesis.id
    }: { by?: Person; authPrev?: FactId; head?: FactId } = {}
  ): Made {
    const about = keep.body.subject
    const value = {
      authPrev,
      head: about === 'registry' ? null : head,
      keep: keep.id,
      over: over.map(({ id }) => id).toSorted()
    }
    return this.write(by, about, { type: 'resolve', value })
  }

  claim(
    name: string,
    options: { by?: Person; keys?: readonly Principal[]; authPrev?: FactId; threshold?: number } = {}
  ): Made {
    const { by = this.root, authPrev = this.genesis.id, threshold = 1 } = options
    const { keys = [by.did] } = options
    return this.write(by, subject(name), { type: 'claim', value: { authPrev, keys: keys.toSorted(), threshold } })
  }

  release(
    name: string,
    version: string,
    authority: CitedAuthority,
    { by = this.root, content = `${name}@${version}` } = {}
  ): Made {
    const value = { version: parseSemver(version), ...contentFor(name, version, content), authority }
    return this.write(by, subject(name), { type: 'release', value })
  }

  /** The same release at the same position with another manifest. What follows in its chain must be written after it. */
  withManifest({ body }: Made, change: (manifest: Manifest) => Manifest, by = this.root): Made {
    const payload = parsePayload(body)
    if (payload.type !== 'release') throw new Error('not a release')
    const value = { ...payload.value, manifest: change(payload.value.manifest) }
    const made = make({ ...body, payload: encodePayload({ type: 'release', value }) }, by)
    this.#heads.set(`${by.did} ${by.chain} ${body.subject}`, { seq: body.seq, id: made.id })
    return made
  }

  yank(name: string, version: string, authority: CitedAuthority, { by = this.root, reason = 'broken' } = {}): Made {
    return this.write(by, subject(name), { type: 'yank', value: { version: parseSemver(version), reason, authority } })
  }

  unyank(
    name: string,
    version: string,
    yanks: readonly FactId[],
    { authority, by = this.root }: { authority: CitedAuthority; by?: Person }
  ): Made {
    return this.write(by, subject(name), { type: 'unyank', value: { version: parseSemver(version), yanks, authority } })
  }

  quarantine(
    name: string,
    version: string,
    authority: CitedAuthority,
    { by = this.root, reason = 'stopped' } = {}
  ): Made {
    const value = { version: parseSemver(version), reason, authority }
    return this.write(by, subject(name), { type: 'quarantine', value })
  }

  unquarantine(
    name: string,
    version: string,
    quarantines: readonly FactId[],
    { authority, by = this.root }: { authority: CitedAuthority; by?: Person }
  ): Made {
    const value = { version: parseSemver(version), quarantines: quarantines.toSorted(), authority }
    return this.write(by, subject(name), { type: 'unquarantine', value })
  }

  /** An OSV record about a package; the name need not be granted here. */
  advisory(name: string, record: unknown, { by = this.root, head = this.genesis.id } = {}): Made {
    const bytes = new TextEncoder().encode(JSON.stringify(record))
    return this.write(by, subject(name), { type: 'advisory', value: { head, record: bytes, osv: parseOsv(bytes) } })
  }

  /** When somebody first saw releases. */
  observation(
    name: string,
    seen: readonly { readonly release: FactId; readonly time: number }[],
    { by, head = this.genesis.id, at = {} }: { by: Person; head?: FactId; at?: Partial<FactBody> }
  ): Made {
    const sorted = seen.toSorted((a, b) => (a.release < b.release ? -1 : 1))
    return this.write(by, subject(name), { type: 'observation', value: { head, seen: sorted } }, at)
  }

  /** What a release cites: the genesis unless said otherwise, and the claim of the package. */
  cite(claim: Made, registry: FactId = this.genesis.id): CitedAuthority {
    return { registry, package: claim.id }
  }

  #header(by: Person, payload: Payload): Pick<FactBody, 'v' | 'type' | 'author' | 'time' | 'payload'> {
    this.#time += 1000
    return { v: 1, type: payload.type, author: by.did, time: this.#time, payload: encodePayload(payload) }
  }
}

export function make(body: FactBody, by: Person): Made {
  const bytes = signFact(body, by.secret)
  return { id: parseEnvelope(bytes).id, bytes, body }
}

export function subject(name: string): PackageName {
  return `ggen/${name}` as PackageName
}

function contentFor(name: string, version: string, content: string) {
  const sha256 = createHash('sha256').update(content).digest()
  const sha512 = createHash('sha512').update(content).digest()
  return {
    manifest: {
      kind: 'package' as const,
      name: parseGgenName(name),
      version: parseSemver(version),
      dependencies: [],
      executables: []
    },
    root: contentIdOf(content),
    size: content.length,
    digests: { sha256: new Uint8Array(sha256), sha512: new Uint8Array(sha512), archiveBytes: 1024 }
  }
}

/** A well-formed content root that stands for no stored bytes. */
export function contentIdOf(content: string): ContentId {
  const digest = createDigest(0x12, createHash('sha256').update(content).digest())
  return parseContentId(CID.createV1(0x55, digest).toString())
}
