import type { CID } from 'multiformats/cid'
import { contentIdFromLink, toLink } from '../../protocol/cid.ts'
import type { DagRequest } from '../../protocol/dag/messages.ts'
import { DigestSet } from '../../protocol/digest-set.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RAW } from '../../protocol/unixfs-node.ts'
import type { UnixfsNode } from '../../protocol/unixfs-node.ts'
import type { Clock, Sight } from './components.ts'
import { deadline } from './deadline.ts'

export interface StreamSightComponents {
  readonly sight: Pick<Sight, 'isNamed' | 'strange'>
  readonly clock: Clock
}

/**
 * What may be sent on one stream: what something that the swarm holds leads to. A stream is about one root, and whoever asks
 * for leaves was mostly sent the nodes that name them a moment ago on the same stream: those are known for nothing.
 *
 * Attack: blocks that nobody is to see are asked for as if they were part of a package that everybody may have.
 */
export class StreamSight {
  readonly #components: StreamSightComponents
  /** The root, and what the nodes name that were sent. */
  readonly #named = new DigestSet(LIMITS.content.blocks)
  /** Attack: four thousand wants, each of which is looked for among the roots of all releases. */
  #rootsLeft: number

  constructor(components: StreamSightComponents) {
    this.#components = components
    this.#rootsLeft = LIMITS.dag.rootsTogether
  }

  /** What of a request must not be sent. @throws RegistryError TIMEOUT when nobody knows in time */
  async hidden({ root, wants }: DagRequest): Promise<ReadonlySet<CID>> {
    const { sight, clock } = this.#components
    const time = deadline(clock, LIMITS.dag.lookMs)
    try {
      // Asked with each request: a revocation ends what is under way.
      if (!(await sight.isNamed(root, time.signal))) return new Set(wants)
      this.#named.add(toLink(root).multihash.digest)
      const unknown: CID[] = []
      for (const want of wants) {
        if (this.#named.has(want.multihash.digest)) continue
        if (!(await this.#isOwnRoot(want, time.signal))) unknown.push(want)
      }
      return new Set(unknown.length === 0 ? [] : await sight.strange(root, unknown))
    } finally {
      time.clear()
    }
  }

  /** Several small contents may be asked for at once. What a release names may be seen by whoever asks for it, with all below it. */
  async #isOwnRoot(want: CID, signal: AbortSignal): Promise<boolean> {
    if (want.code === RAW || this.#rootsLeft === 0) return false
    this.#rootsLeft -= 1
    if (!(await this.#components.sight.isNamed(contentIdFromLink(want), signal))) return false
    this.#named.add(want.multihash.digest)
    return true
  }

  /** A node that was not hidden was sent, and what it names may be sent too. */
  sent(node: UnixfsNode | undefined): void {
    if (node === undefined) return
    for (const { cid } of linksOf(node)) this.#named.add(cid.multihash.digest)
  }
}

function linksOf(node: UnixfsNode): readonly { readonly cid: CID }[] {
  switch (node.type) {
    case 'file':
      return node.leaves
    case 'directory':
      return node.entries
    case 'shard':
      return [...node.entries, ...node.shards.map(cid => ({ cid }))]
  }
}
