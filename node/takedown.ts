import { parseContentId } from '../protocol/cid.ts'
import type { ContentId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { cleanText } from '../protocol/manifest-text.ts'
import { wantAllLost } from './block-repair.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import type { ApiMethods, CallContext } from './services/api.ts'

/** Takes content down, or takes that back. `reference` names one version of a package, or is a content root. */
export async function takedown(
  parts: NodeParts,
  { reference, reason: said, release, isDeleted }: ApiMethods['takedown']['params'],
  { signal }: CallContext
): Promise<ApiMethods['takedown']['result']> {
  // One spelling, as everywhere where a reason is shown: no controls, no bidi overrides.
  const reason = cleanText(said)
  if (reason.length > LIMITS.fact.reasonChars) {
    throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.fact.reasonChars} characters`)
  }
  const roots = await rootsOf(parts, reference)
  const results: ApiMethods['takedown']['result'][number][] = []
  for (const root of roots) {
    signal.throwIfAborted()
    if (!release) {
      results.push({
        ...(await parts.spaces.takedowns.takedown(root, { reference, reason, isDeleted }, signal)),
        released: false
      })
    } else if (await parts.spaces.takedowns.release(root)) {
      // However long it was withheld: what is lost of it is so from now on.
      for (const space of parts.spaces.all) await space.touchKept(root)
      results.push({ root, withheld: 0, shared: 0, deleted: 0, released: true })
    }
  }
  // What is on the disk of it counts as here again once it was looked at.
  if (results.some(({ released }) => released)) await wantAllLost(parts, signal)
  if (results.length > 0) return results
  throw new RegistryError('UNKNOWN_VERSION', `nothing was taken down as ${reference}`, {
    next: 'ggen-node takedown list shows what was'
  })
}

/** A version in conflict has several contents, and all are meant. */
async function rootsOf(parts: NodeParts, text: string): Promise<readonly ContentId[]> {
  const root = contentIdIn(text)
  if (root !== undefined) return [root]
  const { reference, registry } = await meantReference(parts, text)
  if (reference.range === undefined) {
    throw new RegistryError('INVALID_REFERENCE', 'name the version: a takedown is about the bytes of one version', {
      next: `ggen-node takedown ${text}@VERSION`
    })
  }
  const { versions } = await parts.view.package(registry.id, reference.name)
  const found = versions.find(({ version }) => version === reference.range)
  if (found !== undefined) return found.contents.map(content => content.root)
  throw new RegistryError('UNKNOWN_VERSION', `no version ${reference.range} of ${reference.name} in the registry`)
}

/** The content id that a text is, or undefined where it is something else. */
export function contentIdIn(text: string): ContentId | undefined {
  try {
    return parseContentId(text)
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
