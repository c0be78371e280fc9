import { expect, test } from 'vitest'
import { ownSightings } from '../../node/first-seen.ts'
import type { FactId } from '../../protocol/cid.ts'
import { Federation, publish, release } from '../support/federation.ts'

const YEAR = 365 * 24 * 60 * 60 * 1000

test('a clock that was ahead at the first look lets nothing pass that comes once it is right', async () => {
  const here = new Federation()
  here.now += YEAR
  const acme = await here.follow('acme', { kind: 'public', read: false })
  const claim = publish(acme, 'lib', { '1.0.0': [] })
  await here.read(acme)
  const there = acme.all.filter(({ body }) => body.type === 'release').map(({ id }) => id)
  here.now -= YEAR
  const later = release(acme, { name: 'lib', version: '1.1.0', claim: claim.id })
  await here.read(acme)
  const seeing = { clock: { now: () => here.now }, facts: here.facts, sources: here.sources }
  const seen = await ownSightings(seeing, acme.registry, [...there, later.id] as readonly FactId[])
  expect(seen).toEqual([
    { time: here.now + YEAR, basis: 'first-look' },
    { time: here.now, basis: 'first-seen' }
  ])
})
