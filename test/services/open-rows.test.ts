import { expect, test } from 'vitest'
import { OpenRows } from '../../node/services/open-rows.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { encodePackageRow, sealRow } from '../../protocol/view-row.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import { packageOf } from '../support/fold.ts'

const facts = new FactWriter(person('root'))
const claim = facts.claim('alpha')
const registry = facts.registry
const alpha = parsePackageName('ggen/alpha')

/** As the store hands it out: other bytes each time. */
const rowNow = (): Uint8Array => sealRow(encodePackageRow(packageOf(facts, 'alpha')))

test('opens a row once, as long as the store holds the same bytes', () => {
  const rows = new OpenRows()
  const first = rows.open(registry, alpha, rowNow())
  expect(first.claim).not.toBeNull()
  expect(rows.open(registry, alpha, rowNow())).toBe(first)
  facts.release('alpha', '1.0.0', { registry: facts.genesis.id, package: claim.id })
  const second = rows.open(registry, alpha, rowNow())
  expect(second.versions.map(({ version }) => version)).toEqual(['1.0.0'])
  expect(rows.open(registry, alpha, rowNow())).toBe(second)
})

test('sees what the disk changed in a row that was open', () => {
  const rows = new OpenRows()
  rows.open(registry, alpha, rowNow())
  for (const at of [0, 32, rowNow().length - 1]) {
    const changed = rowNow().map((byte, i) => (i === at ? byte ^ 1 : byte))
    expect(codeOf(() => rows.open(registry, alpha, changed))).toBe('STORE_CORRUPT')
  }
})

test('forgets the row that was asked for longest ago, beyond its bound', () => {
  const rows = new OpenRows()
  const names = Array.from({ length: LIMITS.openRows.rows }, (_, i) => `ggen/p${i}` as PackageName)
  const row = rowNow()
  const [first, second] = names.map(name => rows.open(registry, name, row.slice()))
  expect(rows.open(registry, names[0] ?? alpha, row.slice())).toBe(first)
  rows.open(registry, alpha, row.slice())
  expect(rows.open(registry, names[0] ?? alpha, row.slice())).toBe(first)
  expect(rows.open(registry, names[1] ?? alpha, row.slice())).not.toBe(second)
})
