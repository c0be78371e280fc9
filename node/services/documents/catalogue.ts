import { catalogueOf } from '../../../protocol/document/words.ts'
import type { Bundle, Catalogue } from '../../../protocol/document/words.ts'
import type { Edit } from '../../../protocol/document/edits.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { nearest } from '../../../protocol/nearest.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Planned } from './editor.ts'

export interface Member {
  readonly name: PackageName
  readonly range: string | undefined
}

/** A bundle that is there already gets the title and the score that are said now. */
export function bundleCreation(name: string, title: string, minScore: number | undefined): Planned {
  return () => [
    { op: 'put', path: ['bundles', name], value: title },
    ...(minScore === undefined ? [] : [{ op: 'put' as const, path: ['scores', name], value: String(minScore) }])
  ]
}

/** Members that are there already get the range that is said now. @throws RegistryError UNKNOWN_ENTRY */
export function membersAdded(name: string, members: readonly Member[]): Planned {
  return state => {
    bundleNamed(state === undefined ? EMPTY : catalogueOf(state), name)
    return members.map(member => ({ op: 'put', path: ['members', name, member.name], value: member.range ?? '*' }))
  }
}

/** @throws RegistryError UNKNOWN_ENTRY when one of them is not in the bundle */
export function membersRemoved(name: string, members: readonly Member[]): Planned {
  return state => {
    const bundle = bundleNamed(state === undefined ? EMPTY : catalogueOf(state), name)
    for (const member of members) {
      if (bundle.members.some(known => known.name === member.name)) continue
      throw unknownEntry(`${member.name} is not in the bundle ${name}`, `ggen-node bundle list ${name} shows what is`)
    }
    return members.map((member): Edit => ({ op: 'delete', path: ['members', name, member.name] }))
  }
}

/** The bundle and everything in it. @throws RegistryError UNKNOWN_ENTRY */
export function bundleRemoval(name: string): Planned {
  return state => {
    const { members } = bundleNamed(state === undefined ? EMPTY : catalogueOf(state), name)
    return [
      { op: 'delete', path: ['bundles', name] },
      { op: 'delete', path: ['scores', name] },
      ...members.map((member): Edit => ({ op: 'delete', path: ['members', name, member.name] }))
    ]
  }
}

/** @throws RegistryError UNKNOWN_ENTRY */
export function entryRemoval(field: 'announcements' | 'categories', name: string): Planned {
  return state => {
    const { content = [] } = state ?? {}
    const names = content.filter(({ key }) => key.startsWith(`${field}/`)).map(({ key }) => key.slice(field.length + 1))
    if (!names.includes(name)) {
      const near = nearest(name, names)
      const verb = field === 'categories' ? 'category' : 'announce'
      throw unknownEntry(
        `${JSON.stringify(name.slice(0, 80))} is not in the catalogue`,
        near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : `ggen-node ${verb} list shows what is`
      )
    }
    return [{ op: 'delete', path: [field, name] }]
  }
}

/** @throws RegistryError UNKNOWN_ENTRY with what comes near */
export function bundleNamed({ bundles }: Catalogue, name: string): Bundle {
  const found = bundles.find(bundle => bundle.name === name)
  if (found !== undefined) return found
  const near = nearest(
    name,
    bundles.map(bundle => bundle.name)
  )
  throw unknownEntry(
    `no bundle ${JSON.stringify(name.slice(0, 80))} in the registry`,
    near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : 'ggen-node bundle list shows what there is'
  )
}

export const EMPTY: Catalogue = { categories: [], bundles: [], announcements: [], conflicts: [] }

function unknownEntry(message: string, next: string): RegistryError {
  return new RegistryError('UNKNOWN_ENTRY', message, { next })
}
