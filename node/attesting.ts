import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { toLink, parseContentId } from '../protocol/cid.ts'
import type { ContentId } from '../protocol/cid.ts'
import type { AuthorityComponents } from './authority.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Gate } from './services/admit.ts'
import type { AttesterComponents } from './services/attest/attester.ts'
import { AttestationReader } from './services/attest/reader.ts'
import type { Author } from './services/author.ts'
import type { Registries } from './registries.ts'
import type { Naming } from '../storage/unsaid-records.ts'
import type { UnsaidBytes } from './services/unsaid.ts'
import type { Spaces } from './spaces.ts'
import { unsaidBytes } from './unsaid-bytes.ts'
import type { UnsaidComponents } from './unsaid-bytes.ts'

export interface AttestingInit extends UnsaidComponents {
  readonly gate: Gate
  readonly author: Author
  readonly authority: Pick<AuthorityComponents, 'statementSigner'>
  readonly announce: AttesterComponents['announce']
  readonly now: () => number
  readonly registries: Registries
  readonly spaces: Spaces
  readonly disk: DiskGuard
}

/** Saying something of releases, and reading what others say. */
export interface Attesting {
  readonly attester: AttesterComponents
  readonly attestations: AttestationReader
}

export function composeAttesting(init: AttestingInit): Attesting {
  const { gate, author, authority, announce, now, registries, spaces } = init
  return {
    attester: {
      gate,
      author,
      announce,
      now,
      signer: authority.statementSigner,
      isPrivate: registry => gate.state(registry)?.authority?.genesis.visibility === 'private',
      store: (by, bytes, signal) => storePredicate(init, { by, signal }, bytes)
    },
    attestations: new AttestationReader({
      gate,
      registries,
      now,
      contentHere: async (registry, cid) => {
        const { blocks } = spaces.of(registry)
        return blocks.read(toLink(cid))
      }
    })
  }
}

const RAW = 0x55
const SHA2_256 = 0x12

/** Bytes before references: the block is durable, and kept, before any fact names it. */
async function storePredicate(
  init: Pick<AttestingInit, 'spaces' | 'disk' | keyof UnsaidComponents>,
  { by, signal }: { readonly by: Naming; readonly signal: AbortSignal | undefined },
  bytes: Uint8Array
): Promise<UnsaidBytes & { readonly cid: ContentId }> {
  const { spaces, disk, keeper } = init
  disk.assertWritable()
  const space = spaces.of(by.registry)
  const { blocks, inUse } = space
  const link = CID.createV1(RAW, createDigest(SHA2_256, hash('sha256', bytes, 'buffer')))
  const cid = parseContentId(link.toString())
  const write = inUse.write()
  try {
    write.add(link)
    await blocks.put(link, bytes)
    await blocks.flush([link])
    const unsaid = await unsaidBytes(init, { space, root: cid, by, signal })
    inUse.wanted(cid)
    return { cid, ...unsaid }
  } catch (error) {
    disk.note(error)
    write.end()
    await keeper.tidyAfter(error, space, signal)
    throw error
  } finally {
    write.end()
  }
}
