import { stat } from 'node:fs/promises'
import { admitKey } from '../attestation/keys.ts'
import { verifyFact } from '../attestation/sign-fact.ts'
import { verifyAttestation } from '../attestation/verify-envelope.ts'
import { toHex } from '../protocol/bytes.ts'
import type { VerifiedFact } from '../protocol/chains.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/did.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { diskSpace } from '../storage/disk-space.ts'
import { homePaths } from '../storage/home.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { blocksFinding } from './blocks-finding.ts'
import type { NodeParts } from './parts.ts'
import { isFolded } from './row-check.ts'
import type { Finding } from './services/api.ts'
import { verified } from './services/registry-state.ts'
import { unfoldableFindings } from './unfoldable.ts'

/** No fact is older than the first version of this program. */
const FIRST_YEAR = 2026

const AGAIN = 'restart the node: it counts and folds again on every start, and asks peers for what is gone'

/** Looks at everything a node stands on and says what to do about what is wrong. */
export async function diagnose(
  parts: NodeParts,
  { deep, signal }: { readonly deep: boolean; readonly signal: AbortSignal }
): Promise<readonly Finding[]> {
  const findings: Finding[] = [await diskFinding(parts), await peersFinding(parts), await clockFinding(parts)]
  if (parts.registries.all.length === 0) {
    const next = 'ggen-node registry add ID@ADDRESS'
    findings.push({ check: 'registries', ok: true, text: 'none is followed', next })
  }
  for (const entry of parts.registries.all) {
    signal.throwIfAborted()
    findings.push(registryFinding(parts, entry), ...(await unfoldableFindings(parts, entry)))
    findings.push(await storeFinding(parts, entry))
    if (!deep) continue
    findings.push(await factsFinding(parts, entry, signal), await viewsFinding(parts, entry, signal))
  }
  if (deep) findings.push(await blocksFinding(parts, signal))
  return findings
}

async function diskFinding(parts: NodeParts): Promise<Finding> {
  const { freeBytes, totalBytes } = await diskSpace(parts.home)
  const free = `${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} MiB free`
  if (parts.isReadOnly()) {
    const text = `${free}; nearly full or failing: the node is read-only`
    return {
      check: 'disk',
      ok: false,
      text,
      next: 'free some space on this disk, and start the node again if it stays so'
    }
  }
  const ballast = await stat(homePaths(parts.home).ballast).catch(() => undefined)
  if (ballast !== undefined) return { check: 'disk', ok: true, text: `${free}, the reserve is laid` }
  const next = 'free some space on this disk: the reserve is what lets a store open on a full one'
  return { check: 'disk', ok: true, text: `${free}, too little to lay the reserve`, next }
}

async function peersFinding({ swarm, config, records }: NodeParts): Promise<Finding> {
  const check = 'peers'
  if (swarm === undefined) return { check, ok: true, text: 'no node is running', next: 'ggen-node start' }
  const count = swarm.peers().filter(peer => peer.connected).length
  const text = `${count} connected, listening on ${swarm.addresses().join(', ') || 'nothing'}`
  if (count > 0) return { check, ok: true, text }
  const known = new Set([...(config.swarms[0]?.bootstrap ?? []), ...(await records.dialled())]).size
  if (known === 0) return { check, ok: true, text, next: 'ggen-node connect ADDRESS' }
  return {
    check,
    ok: false,
    text: `none of ${known} known peers is connected; ${text}`,
    next: 'see that one of them runs and can be reached: ggen-node connect ADDRESS says what is in the way'
  }
}

/**
 * The clock against the newest facts. A fact's time is only what its author says, so one stranger from the future is no
 * proof; our own facts are, and so are two authors.
 */
async function clockFinding({ clock, facts, registries, author }: NodeParts): Promise<Finding> {
  const check = 'clock'
  const now = clock.now()
  const text = new Date(now).toISOString()
  const next = 'set the clock of this machine, best with a time service'
  const year = new Date(now).getUTCFullYear()
  if (year < FIRST_YEAR || year > FIRST_YEAR + 100) return { check, ok: false, text: `it is ${text} here`, next }
  const ahead = new Map<string, number>()
  for (const { id } of registries.all) {
    for (const bytes of await latest(facts, id)) {
      const { author: by, time } = parseEnvelope(bytes).body
      if (time > now + LIMITS.clockSkewMs) ahead.set(by, Math.max(time - now, ahead.get(by) ?? 0))
    }
  }
  if (ahead.size === 0) return { check, ok: true, text }
  const minutes = Math.round(Math.max(...ahead.values()) / 60_000)
  const whose = ahead.has(author.principal) ? 'facts of this node itself' : `facts of ${ahead.size} authors`
  const said = `${text}, and ${whose} are up to ${minutes} minutes ahead of it`
  return { check, ok: !ahead.has(author.principal) && ahead.size < 2, text: said, next }
}

/** The facts with the latest times. */
async function latest(facts: NodeParts['facts'], id: RegistryId): Promise<readonly Uint8Array[]> {
  const set = facts.set(id)
  const found: Uint8Array[] = []
  for (const item of set.items(Math.max(0, set.size - LIMITS.doctor.recentFacts), set.size)) {
    const bytes = await facts.getItem(id, item)
    if (bytes !== undefined) found.push(bytes)
  }
  return found
}

function registryFinding({ gate, facts }: NodeParts, { id, alias }: FollowedRegistry): Finding {
  const { count } = facts.head(id)
  const check = `registry ${alias}`
  if (gate.state(id)?.authority === undefined) {
    return { check, ok: false, text: 'its genesis has not arrived', next: 'connect to a peer that follows it' }
  }
  return { check, ok: true, text: `${count} facts, ${gate.pendingCount(id)} pending` }
}

/** Counts the records against the head: what the disk loses without an error is seen here. */
async function storeFinding({ facts }: NodeParts, { id, alias }: FollowedRegistry): Promise<Finding> {
  const check = `store of ${alias}`
  const audit = await facts.audit(id)
  if (audit === undefined) return { check, ok: true, text: 'too busy to be counted now', next: 'try again later' }
  const { head, stock, synced } = audit
  const text = `${stock.sum.count} facts, fingerprint ${toHex(stock.sum.bytes).slice(0, 16)}`
  const said = (of: { count: number; fingerprint: Uint8Array }): string =>
    `${of.count} facts, fingerprint ${toHex(of.fingerprint).slice(0, 16)}`
  if (audit.isAgreed) return { check, ok: true, text }
  const wanted = stock.isWhole && synced !== undefined ? synced : head
  return { check, ok: false, text: `holds ${text}, and should hold ${said(wanted)}`, next: AGAIN }
}

/** Folds every package again and compares with the stored rows, byte by byte. */
async function viewsFinding(
  { facts, gate }: NodeParts,
  { id, alias }: FollowedRegistry,
  signal: AbortSignal
): Promise<Finding> {
  const check = `views of ${alias}`
  const state = gate.state(id)
  if (state?.authority === undefined || (await facts.isStale(id))) return { check, ok: true, text: 'not folded yet' }
  let folded = 0
  const differing: string[] = []
  for await (const subject of facts.subjects(id)) {
    signal.throwIfAborted()
    folded += 1
    if (!(await isFolded({ facts, gate }, id, subject))) differing.push(subject)
  }
  if (differing.length === 0) return { check, ok: true, text: `${folded} rows are what their facts add up to` }
  const text = `${differing.length} of ${folded} rows are not what their facts add up to, first ${differing[0] ?? ''}`
  return { check, ok: false, text, next: AGAIN }
}

/** What is signed inside a fact. @throws RegistryError BAD_SIGNATURE */
function verifyInside({ payload }: VerifiedFact): void {
  if (payload.type === 'attestation') verifyAttestation(payload.value)
}

/** Reads every fact again as if a stranger had sent it. */
async function factsFinding(
  { facts }: NodeParts,
  { id, alias }: FollowedRegistry,
  signal: AbortSignal
): Promise<Finding> {
  const check = `facts of ${alias}`
  let read = 0
  const bad: string[] = []
  for await (const subject of facts.subjects(id)) {
    signal.throwIfAborted()
    for (const [fact, bytes] of await facts.factsOf(id, subject)) {
      read += 1
      try {
        const envelope = parseEnvelope(bytes)
        admitKey(publicKeyOf(envelope.body.author))
        if (envelope.id !== fact || !verifyFact(envelope)) bad.push(fact)
        else verifyInside(verified(envelope))
      } catch (error) {
        if (!isRegistryError(error)) throw error
        bad.push(fact)
      }
    }
  }
  const { count } = facts.head(id)
  if (bad.length === 0 && read === count) return { check, ok: true, text: `${read} read, all signed and whole` }
  return {
    check,
    ok: false,
    text: `${bad.length} damaged, ${Math.max(0, count - read)} missing of ${count}${bad[0] === undefined ? '' : `, first ${bad[0]}`}`,
    next: 'stop the node, delete its store folder and start it again: facts come back from peers, keys are elsewhere'
  }
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 / 1024)
}
