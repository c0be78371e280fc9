import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Warning } from './lock-check.ts'
import type { Lock } from './lock-format.ts'

/** Names that were given out to others than `but` and that this one would be taken for. */
export type FindSimilar = (registry: RegistryId, name: PackageName, but: Principal) => Promise<readonly PackageName[]>

/**
 * Names that come here for the first time and would be taken for others: a slip of the finger is seen before anything is built on it.
 * Attack: of two such names either may be the trap, so nobody here says which one was meant.
 */
export async function similarNames(
  { before, after }: { readonly before: Lock; readonly after: Lock },
  similar: FindSimilar
): Promise<readonly Warning[]> {
  const known = new Set([...before.packs.values()].map(({ registry, name }) => `${registry} ${name}`))
  const found: Warning[] = []
  for (const { id, registry, name, author } of after.packs.values()) {
    if (known.has(`${registry} ${name}`)) continue
    const [other, ...others] = await similar(registry, name, author)
    if (other === undefined) continue
    const more = others.length === 0 ? '' : ` and ${others.length} more`
    const text = `${id} is not ${shortNameOf(other)}${more}: there are names that look like it; was this one meant?`
    found.push({ code: 'similar-name', id, text })
  }
  return found
}
