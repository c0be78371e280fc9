import type { Brand } from '../brand.ts'
import type { RegistryId } from '../cid.ts'
import { shortNameOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'

/**
 * What the solver calls a package: its name, and where several registries take part also which one's it is.
 *
 *   node = name [" " registry]      ggen/left-pad bafyrei…
 *
 * A space is in no name and comes before everything that is, so nodes are in the order of their names.
 */
export type NodeName = PackageName | Brand<string, 'NodeName'>

/**
 * What the solver asks for: a node, or what a package of some registry means by a name. Which node that is, only the
 * answer says.
 *
 *   ask = node / name " <" registry
 */
export type Ask = NodeName | Brand<string, 'Ask'>

/** A package of one registry. */
export function nodeOf(name: PackageName, registry: RegistryId): NodeName {
  return `${name} ${registry}` as NodeName
}

/** What a version of one package asks for when it names another. */
export function askOf(from: NodeName, name: PackageName): Ask {
  const at = from.lastIndexOf(' ')
  return at < 0 ? name : (`${name} <${from.slice(at + 1)}` as Ask)
}

/** The package's name without its registry. */
export function nameOfNode(node: Ask): PackageName {
  const at = node.indexOf(' ')
  return (at < 0 ? node : node.slice(0, at)) as PackageName
}

/** The registry in an ask, and whether it is the one that asks rather than the one that is meant. */
export function registryIn(ask: Ask): { readonly registry: RegistryId; readonly isFrom: boolean } | undefined {
  const at = ask.indexOf(' ')
  if (at < 0) return undefined
  const isFrom = ask[at + 1] === '<'
  return { registry: ask.slice(at + (isFrom ? 2 : 1)) as RegistryId, isFrom }
}

/** How packages are called in what people read. */
export interface Words {
  /** `left-pad`, or `acme:left-pad` where packages of several registries are told of. */
  readonly called: (node: NodeName) => string
  /** Says that a package is not there: `the registry has no package left-pad`. */
  readonly absent: (node: NodeName) => string
}

/** The words of a resolution that knows one registry. */
export const PLAIN_WORDS: Words = {
  called: node => shortNameOf(nameOfNode(node)),
  absent: node => `the registry has no package ${shortNameOf(nameOfNode(node))}`
}
