import type { RegistryId } from '../../../protocol/cid.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { encodePackageRow, openPackageRow, sealRow } from '../../../protocol/view-row.ts'
import { REAL_PARTS } from '../real-parts.ts'
import type { HomeMemory, Parts, StorePart } from '../parts.ts'
import { replaced } from './gate-bugs.ts'

type Change = (view: PackageView, home: HomeMemory) => PackageView

/** A fold whose result for a package is another one. */
function foldingAs(name: string, change: Change): Parts {
  return {
    ...REAL_PARTS,
    name,
    openStore: async (kv, registry: RegistryId, home) => {
      const store = await REAL_PARTS.openStore(kv, registry, home)
      const commit: StorePart['commit'] = (batch, options) => {
        for (const { id, time } of batch.facts) home.kept.set(`time ${id}`, time)
        const rows = batch.rows.map(([subject, row]) => {
          if (subject === 'registry' || row === undefined) return [subject, row] as const
          return [subject, sealRow(encodePackageRow(change(openPackageRow(row), home)))] as const
        })
        return store.commit({ ...batch, rows }, options)
      }
      return replaced(store, { commit })
    }
  }
}

/** Of two contents of one version, the one that came first is the version. */
export const foldsByArrival = foldingAs('folds by order of arrival', (view, { kept }) => ({
  ...view,
  versions: view.versions.map(version => {
    const key = `${view.name} ${version.version}`
    const first = kept.get(key) ?? version.contents[0]?.fact
    kept.set(key, first)
    return { ...version, contents: version.contents.filter(({ fact }) => fact === first) }
  })
}))

/** The last word on a version is the one with the later time, and authors choose their times. */
export const yanksByTime = foldingAs('applies yanks by time', (view, { kept }) => ({
  ...view,
  versions: view.versions.map(version => {
    const latest = Math.max(...version.contents.map(({ time }) => time))
    return { ...version, yanks: version.yanks.filter(({ fact }) => Number(kept.get(`time ${fact}`) ?? 0) > latest) }
  })
}))
