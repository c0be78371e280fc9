import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSecret, principalOf } from '../attestation/keys.ts'
import type { Secret } from '../attestation/keys.ts'
import { signException } from '../attestation/sign-exception.ts'
import { signFact } from '../attestation/sign-fact.ts'
import { signBinding, signCertificate, signSwarmKey } from '../attestation/sign-membership.ts'
import { signReceipt } from '../attestation/sign-receipt.ts'
import { signSubmission } from '../attestation/sign-submission.ts'
import { signStatement } from '../attestation/verify-envelope.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseToken } from '../protocol/membership/token.ts'
import type { ExceptionRecord, SignedException } from '../protocol/policy/exception.ts'
import type { Receipt, SignedReceipt } from '../protocol/policy/receipt.ts'
import type { Submission } from '../protocol/submission.ts'
import { writeDurably } from '../storage/durable.ts'
import type { Home } from '../storage/home.ts'
import { readKey } from '../storage/key-files.ts'
import { DEFAULT_KEY, readOrMakeKey } from './home.ts'
import type { StatementSigner } from './services/attest/attester.ts'
import type { Signer } from './services/author.ts'
import type { MemberSigner } from './services/swarm/signer.ts'

/** A key of the data directory: it signs facts, and says whose hosts are in a private swarm. */
export interface KeySigner extends StatementSigner, MemberSigner {}

/** The node's own key: it asks for names, and answers for exceptions from policies, too. */
export interface OwnSigner extends KeySigner {
  signSubmission(body: Submission): Uint8Array
  signException(body: SignedException): ExceptionRecord
  signReceipt(receipt: Receipt): SignedReceipt
}

/** Where a store remembers which chain its facts of ours were written under. */
export interface ChainRecord {
  chain(): Promise<string | undefined>
  putChain(chain: string): Promise<void>
}

/**
 * The key that signs our facts, and the chain of this data directory. The chain is a file of its own that neither
 * `key export` nor a backup reads: two laptops with one key write two chains, so they can't equivocate by accident.
 *
 * Invariant: the file and the store name the same chain, or a new one begins. A store that was removed, or put back from
 * another time, does not know which positions were signed; a crash between the two writes costs one more chain.
 */
export async function loadSigner({ paths }: Home, store: ChainRecord, token?: string): Promise<OwnSigner> {
  const secret = token === undefined ? await readOrMakeKey(paths.keys, DEFAULT_KEY) : keyIn(token)
  const file = join(paths.dir, 'chain')
  let chain = await readChain(file)
  const renewChain = async (): Promise<string> => {
    const fresh = randomBytes(16).toString('hex')
    await writeDurably(file, `${fresh}\n`)
    await store.putChain(fresh)
    chain = fresh
    return fresh
  }
  if (chain === undefined || chain !== (await store.chain())) await renewChain()
  const signer = signerOf(secret, {
    chain: () => {
      if (chain === undefined) throw new RegistryError('INTERNAL', 'the chain of this data directory was not loaded')
      return chain
    },
    renewChain
  })
  return {
    ...signer,
    signSubmission: body => signSubmission(body, secret),
    signException: body => signException(body, secret),
    signReceipt: receipt => signReceipt(receipt, secret)
  }
}

/**
 * Another key of the data directory, beside the node's own. It writes under the same chain: a chain is one of an author.
 * @throws RegistryError KEY_NOT_FOUND | UNSAFE_PERMISSIONS
 */
export async function otherSigner({ paths }: Home, own: Signer, name: string): Promise<KeySigner> {
  return signerOf(parseSecret(await readKey(paths.keys, name)), own)
}

function signerOf(secret: Secret, { chain, renewChain }: Pick<Signer, 'chain' | 'renewChain'>): KeySigner {
  const signsStatement = (payload: Uint8Array): Uint8Array => signStatement(payload, secret)
  return {
    ...memberSigner(secret),
    sign: body => signFact(body, secret),
    signStatement: signsStatement,
    chain,
    renewChain
  }
}

/** The key of a member's token, which is never written to this disk. @throws RegistryError MALFORMED | USAGE */
function keyIn(text: string): Secret {
  const { kind, key } = parseToken(text)
  if (kind === 'member') return parseSecret(key)
  throw new RegistryError('USAGE', 'the token in $GGEN_NODE_TOKEN is an invite: it is used once, to join', {
    next: 'ggen-node join TOKEN; for machines that live for minutes make another one with ggen-node invite --ci'
  })
}

/** What a key says beside the facts. */
export function memberSigner(secret: Secret): MemberSigner {
  return {
    principal: principalOf(secret),
    signBinding: body => signBinding(body, secret),
    signCertificate: body => signCertificate(body, secret),
    signSwarmKey: body => signSwarmKey(body, secret)
  }
}

/** The secret of one swarm. Not the signing key: a swarm's peer id says nothing about who publishes. */
export async function loadSwarmSecret({ paths }: Home, swarm: string): Promise<Uint8Array> {
  return readOrMakeKey(paths.keys, `swarm-${swarm}`)
}

async function readChain(file: string): Promise<string | undefined> {
  try {
    const text = await readFile(file, 'utf8')
    // A damaged file is as good as none: a new chain is always safe.
    return /^[0-9a-f]{32}\n$/.test(text) ? text.trim() : undefined
  } catch {
    return undefined
  }
}
