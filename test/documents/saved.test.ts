import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { concatBytes } from '../../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { AutomergeDocument } from '../../node/documents/automerge.ts'
import { assemble } from '../../protocol/document/assemble.ts'
import { madeOfState, openState, openStored, sealState, sealStored, summaryOf } from '../../protocol/document/saved.ts'
import { codeOf } from '../support/error-code.ts'
import { Editors, put } from '../support/documents/editors.ts'
import { FactWriter, person, subject } from '../support/facts.ts'

const MADE = 'ab'.repeat(32)

async function stored() {
  const facts = new FactWriter(person('root'))
  const claim = facts.claim('pkg')
  const editors = new Editors(facts, subject('pkg'), facts.cite(claim))
  const seen = [claim, await editors.edit(facts.root, [put('title', 'One'), put('keywords/rdf')])]
  await editors.edit(facts.root, [put('title', 'Two')])
  await editors.edit(person('a stranger'), [put('title', 'Three')], seen)
  const document = new AutomergeDocument()
  const build = assemble(editors.edits(), { fresh: () => document })
  return { build, sealed: sealStored({ made: MADE, build: build.record(), bytes: document.save() }) }
}

test('what is told of a stored document is what the whole of it says', async () => {
  const { build, sealed } = await stored()
  const { made, standings } = summaryOf(sealed)
  const entries = [...build.entries.values()].map(({ id, status, counts }) => [id, { status, counts }])
  expect(made).toBe(MADE)
  expect([...standings]).toEqual(entries)
  expect(standings.size).toBe(3)
  expect(new Set([...standings.values()].map(({ status }) => status))).toEqual(new Set(['native', 'aside']))
  expect(openStored(sealed)).toMatchObject({ made: MADE, build: build.record() })
})

test('a state tells what it was made of without being read', async () => {
  const { build } = await stored()
  const state = { made: MADE, ...build.state() }
  expect(madeOfState(sealState(state))).toBe(MADE)
  expect(openState(sealState(state))).toEqual(state)
})

test('a record with a flipped bit anywhere is refused, whichever part is asked for', async () => {
  const { build, sealed } = await stored()
  const said = sealState({ made: MADE, ...build.state() })
  for (const [bytes, reads] of [
    [sealed, [summaryOf, openStored]],
    [said, [madeOfState, openState]]
  ] as const)
    for (let at = 0; at < bytes.length; at += 7) {
      const bad = Uint8Array.from(bytes)
      bad[at] = (bad[at] ?? 0) ^ 4
      for (const read of reads) expect(codeOf(() => read(bad))).toBe('STORE_CORRUPT')
    }
})

test('what was made by other rules is not taken', async () => {
  const { sealed } = await stored()
  const record = decodeCbor(sealed.subarray(32), 8, Number.POSITIVE_INFINITY) as Readonly<Record<string, unknown>>
  const other = encodeCbor({ ...record, rules: 0 })
  const old = concatBytes([createHash('sha256').update(other).digest(), other])
  expect(codeOf(() => summaryOf(old))).toBe('STORE_CORRUPT')
  expect(codeOf(() => openStored(old))).toBe('STORE_CORRUPT')
})
