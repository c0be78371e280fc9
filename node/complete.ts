import { LIMITS } from '../protocol/limits.ts'
import { isEcosystem } from '../protocol/package-name.ts'
import type { PackageName } from '../protocol/package-name.ts'
import type { NodeParts } from './parts.ts'
import type { ApiMethods } from './services/api.ts'

/** Names that begin with what somebody typed, from the local view, in their order and bounded. */
export async function complete(
  { registries, facts }: Pick<NodeParts, 'registries' | 'facts'>,
  { kind, prefix }: ApiMethods['complete']['params']
): Promise<ApiMethods['complete']['result']> {
  const aliases = registries.all.map(({ alias }) => alias).toSorted()
  if (kind === 'registries') return aliases.filter(alias => alias.startsWith(prefix))
  if (registries.all.length === 0 || prefix.length > LIMITS.names.referenceChars || prefix.includes('@', 1)) return []
  const colon = prefix.indexOf(':')
  const alias = colon > 0 ? prefix.slice(0, colon) : undefined
  const typed = prefix.slice(colon + 1)
  const looked = alias === undefined ? registries.all : [registries.find(alias)]
  const hasEcosystem = isEcosystem(typed.slice(0, Math.max(0, typed.indexOf('/'))))
  const from = hasEcosystem ? typed : `ggen/${typed}`
  const names = new Set<string>()
  for (const { id } of looked) {
    let taken = 0
    for await (const [subject] of facts.rows(id, from as PackageName)) {
      if (!subject.startsWith(from) || taken >= LIMITS.search.completions) break
      const name = hasEcosystem ? subject : subject.slice('ggen/'.length)
      names.add(alias === undefined ? name : `${alias}:${name}`)
      taken += 1
    }
  }
  const found = [...names].toSorted().slice(0, LIMITS.search.completions)
  if (alias !== undefined || registries.all.length < 2) return found
  return [...found, ...aliases.filter(other => other.startsWith(prefix)).map(other => `${other}:`)]
}
