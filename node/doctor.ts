import { admitKey } from '../attestation/keys.ts'
import { verifyFact } from '../attestation/sign-fact.ts'
import { publicKeyOf } from '../protocol/did.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'
import type { Finding } from './services/api.ts'

/** Looks at everything a node stands on and says what to do about what is wrong. */
export async function diagnose(
  parts: NodeParts,
  { deep, signal }: { readonly deep: boolean; readonly signal: AbortSignal }
): Promise<readonly Finding[]> {
  const findings: Finding[] = [
    { check: 'node', ok: true, text: `ggen-node ${parts.version} on Node.js ${process.versions.node}` },
    diskFinding(parts),
    networkFinding(parts)
  ]
  if (parts.registries.all.length === 0) {
    findings.push({
      check: 'registries',
      ok: true,
      text: 'none is followed',
      next: 'ggen-node registry add ID@ADDRESS'
    })
  }
  for (const entry of parts.registries.all) {
    findings.push(registryFinding(parts, entry))
    if (deep) findings.push(await factsFinding(parts, entry, signal))
  }
  if (deep) findings.push(await blocksFinding(parts, signal))
  return findings
}

function diskFinding(parts: NodeParts): Finding {
  if (!parts.isReadOnly()) return { check: 'disk', ok: true, text: `${parts.home} takes writes` }
  return {
    check: 'disk',
    ok: false,
    text: 'nearly full or failing: the node is read-only',
    next: 'free some space on this disk'
  }
}

function networkFinding({ swarm }: NodeParts): Finding {
  if (swarm === undefined) return { check: 'network', ok: true, text: 'no node is running', next: 'ggen-node start' }
  const count = swarm.peers().filter(peer => peer.connected).length
  const text = `${count} peers, listening on ${swarm.addresses().join(', ') || 'nothing'}`
  return count > 0
    ? { check: 'network', ok: true, text }
    : { check: 'network', ok: true, text, next: 'ggen-node connect ADDRESS' }
}

function registryFinding({ gate, facts }: NodeParts, { id, alias }: FollowedRegistry): Finding {
  const { count } = facts.head(id)
  const check = `registry ${alias}`
  if (gate.state(id)?.authority === undefined) {
    return { check, ok: true, text: 'its genesis has not arrived', next: 'connect to a peer that follows it' }
  }
  return { check, ok: true, text: `${count} facts, ${gate.pendingCount(id)} pending` }
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

/** Reads every block below what is kept, and verifies it. All of it, so that one start afterwards repairs all of it. */
async function blocksFinding(parts: NodeParts, signal: AbortSignal): Promise<Finding> {
  let read = 0
  let damaged = 0
  let first = ''
  for await (const root of parts.records.kept()) {
    try {
      for await (const cid of listBlocks(root, parts.blocks, { signal })) {
        for await (const part of parts.blocks.get(cid)) read += part.length > 0 ? 1 : 0
      }
    } catch (error) {
      signal.throwIfAborted()
      // A block that somebody met before us was moved aside then, and is missing now.
      const isMissing = error instanceof Error && error.name === 'NotFoundError'
      if (!isRegistryError(error) && !isMissing) throw error
      damaged += 1
      if (damaged === 1) first = `${root}: ${messageOf(error)}`
      await parts.records.forgetKept(root)
    }
  }
  if (damaged === 0) return { check: 'blocks', ok: true, text: `${read} blocks read and verified` }
  return {
    check: 'blocks',
    ok: false,
    text: `${damaged} packages damaged, first ${first}`,
    next: 'start the node: it fetches the content again from peers'
  }
}
