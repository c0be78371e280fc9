import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { toLink, parseContentId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import type { AuthorityComponents } from './authority.ts'
import type { BlockKeeper } from './block-keeper.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Gate } from './services/admit.ts'
import type { AttesterComponents } from './services/attest/attester.ts'
import { AttestationReader } from './services/attest/reader.ts'
import type { Author } from './services/author.ts'
import type { Registries } from './registries.ts'
import type { Spaces } from './spaces.ts'

export interface AttestingInit {
  readonly gate: Gate
  readonly author: Author
  readonly authority: Pick<AuthorityComponents, 'statementSigner'>
  readonly announce: AttesterComponents['announce']
  readonly now: () => number
  readonly registries: Registries
  readonly spaces: Spaces
  readonly disk: DiskGuard
  readonly keeper: Pick<BlockKeeper, 'tidyAfter'>
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
      store: (registry, bytes) => storePredicate(init, registry, bytes)
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
  { spaces, disk, keeper }: Pick<AttestingInit, 'spaces' | 'disk' | 'keeper'>,
  registry: RegistryId,
  bytes: Uint8Array
): Promise<ContentId> {
  disk.assertWritable()
  const space = spaces.of(registry)
  const { blocks, markKept, inUse } = space
  const link = CID.createV1(RAW, createDigest(SHA2_256, hash('sha256', bytes, 'buffer')))
  const cid = parseContentId(link.toString())
  const write = inUse.write()
  try {
    write.add(link)
    await blocks.put(link, bytes)
    await blocks.flush([link])
    await markKept(cid, { pinned: true })
    inUse.wanted(cid)
  } catch (error) {
    disk.note(error)
    write.end()
    await keeper.tidyAfter(error, space)
    throw error
  } finally {
    write.end()
  }
  return cid
}
