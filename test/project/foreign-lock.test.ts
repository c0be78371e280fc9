import { expect, test } from 'vitest'
import { checkLock } from '../../node/services/project/lock-check.ts'
import { EMPTY_LOCK } from '../../node/services/project/lock-format.ts'
import type { LockedPack } from '../../node/services/project/lock-format.ts'
import { parsePayload } from '../../protocol/payload.ts'
import { Federation, publish } from '../support/federation.ts'
import { person, subject } from '../support/facts.ts'
import type { FactWriter, Made } from '../support/facts.ts'

const [eve, bob] = [person('eve'), person('bob')]

/** As somebody writes it who hands out a project. */
function locking({ registry }: FactWriter, { id, body }: Made): LockedPack {
  const payload = parsePayload(body)
  if (payload.type !== 'release') throw new Error('not a release')
  const { version, root, digests } = payload.value
  return {
    id: 'lib',
    name: subject('lib'),
    version,
    registry,
    alias: 'acme',
    cid: root,
    sha256: digests.sha256,
    author: body.author,
    fact: id,
    installedAt: '',
    dependencies: [],
    extra: {}
  }
}

test('a lockfile takes no release from a key that is named in the registry for something else', async () => {
  const here = new Federation()
  const acme = await here.follow('acme', { kind: 'public', read: false })
  publish(acme, 'lib', { '1.0.0': [] })
  const claim = acme.all.find(({ body }) => body.type === 'claim')
  if (claim === undefined) throw new Error('no claim')
  const mirror = acme.grant(eve.did, 'mirror')
  const publisher = acme.grant(bob.did, 'publisher', { authPrev: mirror.id })
  const theirs = acme.release('lib', '6.6.6', acme.cite(claim, publisher.id), { by: eve })
  const once = acme.release('lib', '2.0.0', acme.cite(claim, publisher.id), { by: bob })
  acme.revoke(bob.did, { authPrev: publisher.id, role: 'publisher', heads: [] })
  await here.read(acme)
  const { versions } = await here.view.package(acme.registry, subject('lib'))
  expect(versions.map(({ version }) => version)).toEqual(['1.0.0'])
  const check = (made: Made) =>
    checkLock({ ...EMPTY_LOCK, packs: new Map([['lib', locking(acme, made)]]) }, here.components())
  await expect(check(theirs)).rejects.toMatchObject({ code: 'LOCKFILE_INVALID' })
  // What was taken from somebody who could publish it goes on, with a warning.
  expect((await check(once)).warnings.map(({ code }) => code)).toEqual(['withdrawn'])
})
