import { toCycloneDx, toSpdx, urlOf } from '../protocol/attest/sbom.ts'
import type { Component, Materials } from '../protocol/attest/sbom.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { packageNameOf } from '../protocol/package-name.ts'
import type { NodeParts } from './parts.ts'
import type { Release } from './services/attest/release.ts'
import { resolveTree } from './services/resolve.ts'
import type { Pick as Picked } from './services/resolve.ts'

const FORMATS = { cyclonedx: toCycloneDx, spdx: toSpdx } as const

export type SbomFormat = keyof typeof FORMATS

/** @throws RegistryError USAGE */
export function sbomFormat(text: string): SbomFormat {
  if (text === 'cyclonedx' || text === 'spdx') return text
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 40))} is not a format`, {
    next: 'use cyclonedx or spdx'
  })
}

/**
 * The bill of materials of a release: itself and all that an install of it would bring, as the registry is now.
 * @throws RegistryError as resolving does | LIMIT_EXCEEDED
 */
export async function sbomOf(
  { view, version }: Pick<NodeParts, 'view' | 'version'>,
  release: Release,
  format: SbomFormat
): Promise<string> {
  const finder = { find: view.find.bind(view), near: view.near.bind(view) }
  const { picks } = await resolveTree(finder, release.registry, { name: release.name, range: release.version })
  if (picks.length > LIMITS.attestations.components)
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `a bill of materials has at most ${LIMITS.attestations.components} packages`
    )
  const urls = new Map(picks.map(pick => [pick.name as string, urlOf(pick)]))
  const components = picks.map(pick => toComponent(pick, urls))
  const itself = components.find(({ name }) => name === release.name)
  if (itself === undefined) throw new RegistryError('INTERNAL', `${release.name} is not among what it needs`)
  const others = components.filter(one => one !== itself).toSorted((a, b) => (urlOf(a) < urlOf(b) ? -1 : 1))
  const materials: Materials = { itself, others, time: release.content.time, tool: version }
  return FORMATS[format](materials)
}

type Pick<T, K extends keyof T> = { readonly [P in K]: T[P] }

function toComponent({ name, version, content }: Picked, urls: ReadonlyMap<string, string>): Component {
  const { manifest, root, digests } = content
  const needs = manifest.dependencies
    .filter(({ kind }) => kind === 'ggen')
    .flatMap(needed => urls.get(packageNameOf('ggen', needed.name)) ?? [])
  return { name, version, root, digests, manifest, needs: [...new Set(needs)].toSorted() }
}
