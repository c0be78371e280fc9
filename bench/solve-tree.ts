import { join } from 'node:path'
import { RegistryView } from '../node/services/registry-view.ts'
import { resolveTree } from '../node/services/resolve.ts'
import type { RegistryId } from '../protocol/cid.ts'
import type { FactId } from '../protocol/cid.ts'
import type { PackageView } from '../protocol/fold.ts'
import type { VersionView } from '../protocol/fold-versions.ts'
import { parseGgenName } from '../protocol/package-name.ts'
import type { Dependency } from '../protocol/manifest.ts'
import { parseSemver } from '../protocol/version.ts'
import { encodePackageRow, sealRow } from '../protocol/view-row.ts'
import { openLevel } from '../storage/level-key-value.ts'
import { contentIdOf, person, subject } from '../test/support/facts.ts'
import { nameAt } from './corpus.ts'
import { below, median, MIN_RUNS, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PACKAGES = 10_000
const VERSIONS = 20
const TREE = 200
const ROWS_PER_WRITE = 500

const AUTHOR = person('bench').did

/**
 * 10,000 packages with 20 versions each in a level store, as sealed rows of the view. Every 200 of them are one tree:
 * each package needs two others below it and a third somewhere further down, in ranges that move with its version, and
 * the newest five versions of every tenth ask for what can't be had, so that the search has to step back.
 */
export async function* solveFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const folder = join(await workbench.tempDir(), 'rows')
  const store = await openLevel(folder)
  try {
    for (let from = 0; from < PACKAGES; from += ROWS_PER_WRITE) {
      const rows = Array.from({ length: ROWS_PER_WRITE }, (_, i) => viewAt(from + i))
      await store.batch(rows.map(view => ({ type: 'put', key: view.name, value: sealRow(encodePackageRow(view)) })))
    }
    const view = new RegistryView({
      row: (_, about) => store.get(about),
      rows: () => {
        throw new Error('nobody looks at all rows to resolve a name')
      }
    })
    const times: number[] = []
    // Each run resolves a tree that no run before has looked at.
    for (let run = 0; run <= MIN_RUNS; run++) {
      const started = performance.now()
      const root = { name: subject(nameAt(run * TREE)), range: '^1.0.0' }
      const { picks } = await resolveTree(view, 'bench' as RegistryId, root)
      times.push(performance.now() - started)
      if (picks.length !== TREE) throw new Error(`a tree of ${picks.length} packages was picked`)
    }
    const input = `${TREE} of ${PACKAGES} packages with ${VERSIONS} versions each`
    yield below({ bench: 'resolve/solve-200', value: median(times.slice(1)), unit: 'ms', input }, 1_000)
  } finally {
    await store.close()
  }
}

function viewAt(index: number): PackageView {
  const versions = Array.from({ length: VERSIONS }, (_, i) => versionAt(index, VERSIONS - 1 - i))
  return { name: subject(nameAt(index)), claim: null, versions, document: null, setAside: [], forks: [] }
}

function versionAt(index: number, minor: number): VersionView {
  const name = nameAt(index)
  const version = parseSemver(`1.${minor}.0`)
  const manifest = {
    kind: 'package' as const,
    name: parseGgenName(name),
    version,
    title: `Package number ${index}`,
    description: `The description of package ${index}, which is about as long as descriptions are in the marketplace`,
    license: 'MIT',
    authors: ['ggen-node contributors'],
    keywords: ['bench', 'ontology', `group-${index % 50}`],
    dependencies: dependenciesAt(index, minor),
    executables: []
  }
  const root = contentIdOf(`${name} ${version}`)
  const digests = { sha256: new Uint8Array(32), sha512: new Uint8Array(64), archiveBytes: 10_240 }
  const fact = root as string as FactId
  const content = { manifest, root, size: 4_096, digests, fact, by: AUTHOR, time: 1_700_000_000_000, marks: [] }
  return { version, contents: [content], yanks: [] }
}

function dependenciesAt(index: number, minor: number): readonly Dependency[] {
  const start = index - (index % TREE)
  const place = index % TREE
  const needs = new Map<number, string>()
  for (const child of [2 * place + 1, 2 * place + 2]) {
    if (child < TREE) needs.set(child, `>=1.${Math.max(0, minor - 12)}.0 <2.0.0`)
  }
  const far = place + 1 + ((place * 37) % Math.max(1, TREE - place))
  if (far < TREE && !needs.has(far)) {
    const isStuck = place % 10 === 3 && minor >= VERSIONS - 5
    needs.set(far, isStuck ? '=1.0.0 || ^9.0.0' : `>=1.${Math.max(0, minor - 15)}.0 <1.${minor + 1}.0`)
  }
  return [...needs]
    .map(([at, range]) => ({ name: nameAt(start + at), range, kind: 'ggen' as const }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
