import { beforeEach, describe, expect, test } from 'vitest'
import { parseSecret, principalOf } from '../../attestation/keys.ts'
import { revokeRole, ROUTINE } from '../../node/services/authority/roles.ts'
import { expel } from '../../node/services/swarm/expel.ts'
import type { ExpelComponents, Expelled } from '../../node/services/swarm/expel.ts'
import { invitesOf, standingOf } from '../../protocol/membership/members.ts'
import { encodePayload } from '../../protocol/payload.ts'
import { usePosition } from '../../protocol/payload-invite.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { Role } from '../../protocol/role.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { make, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { seatOf } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { company, headOf, invite, join, NOW, registry } from './company.ts'
import type { Company } from './company.ts'

const ABOUT = { registry, key: undefined }
const REGISTRY = { ...ABOUT, subject: 'registry' } as const
let clock: Company['clock']
let writer: Company['writer']
let owner: Seat
let ann: Seat
let bob: Seat
let token: Company['token']

beforeEach(async () => {
  ;({ clock, writer, owner, ann, bob, token } = await company())
})

function expelled(member: string, { keep = [], by = owner.commands }: Asked = {}): Promise<Expelled> {
  return expel(by, ABOUT, { member, reason: 'left', isCompromised: false, keep })
}

interface Asked {
  readonly keep?: readonly string[]
  readonly by?: ExpelComponents
}

function authorityOf(seat: Seat = owner) {
  const authority = seat.gate.state(registry)?.authority
  if (authority === undefined) throw new Error('no genesis')
  return authority
}

const standing = (key: string): string => standingOf(authorityOf(), key as Person['did'], NOW)

async function factsOf(seat: Seat = owner) {
  return (await seat.gate.state(registry)?.factsOf('registry')) ?? []
}

/** The holder of the token of everybody. */
function door(): Person {
  const secret = parseSecret(token.key)
  return { ...person('door'), secret, did: principalOf(secret) }
}

/** What the holder of the token makes of a use: one of the same place for another key, with a lower id or a higher one. */
async function rivalOf(key: string, thief: Person, isLower = true): Promise<Made> {
  const used = (await factsOf()).find(({ payload }) => payload.type === 'redeem' && payload.value.key === key)
  if (used === undefined) throw new Error(`${key} has used nothing`)
  for (let tries = 1; ; tries += 1) {
    const payload = encodePayload({ type: 'redeem', value: { invite: token.invite, key: thief.did } })
    const made = make({ ...used.body, time: used.body.time + tries, payload }, door())
    if (made.id < used.id === isLower) return made
  }
}

describe('a member that signed more than a revocation can list', () => {
  const mole = person('mole')
  /** As many names as one revocation can't list. */
  const names = Array.from({ length: 272 }, (_, i) => {
    const name = `${String.fromCharCode(97 + (i % 26))}${i}-`.padEnd(214, 'x')
    return `${i % 2 === 0 ? 'npm' : 'cargo'}/${name}` as PackageName
  })

  async function givenTo(role: Role): Promise<void> {
    await owner.take([writer.grant(mole.did, role, { authPrev: headOf(owner) })])
    expect(standing(mole.did)).toBe('member')
  }

  async function claimAll(): Promise<void> {
    const value = { authPrev: headOf(owner), keys: [mole.did], threshold: 1 }
    await owner.take(names.map(name => writer.write(mole, name, { type: 'claim', value })))
  }

  test('is put out by one statement where nothing of that counts, and what is worthless leaves the set', async () => {
    await givenTo('member')
    await claimAll()
    await owner.take([writer.cosign(mole, writer.genesis)])
    const before = (await owner.ids()).length
    const { written, missing } = await expelled(mole.did)
    expect([written.length, missing, standing(mole.did)]).toEqual([1, 0, 'ended'])
    expect(await owner.ids()).toHaveLength(before - names.length)
  })

  test('is put out where all of it counts, and all of it stays, however often that is interrupted', async () => {
    await givenTo('curator')
    await claimAll()
    await expect(expelled(mole.did, { by: failingAt(4) })).rejects.toThrow('disk full')
    // Not all of the parts are said: it is in until they are, so that the command can be repeated.
    expect(standing(mole.did)).toBe('member')
    const { written, missing } = await expelled(mole.did)
    expect([written.length > 1, missing, standing(mole.did)]).toEqual([true, 0, 'ended'])
    for (const name of names.slice(0, 30))
      expect((await owner.view.find(registry, name))?.claim?.keys).toEqual([mole.did])
    // Nothing new of it comes in, about whatever: names that nobody had, and the registry itself.
    const late = [writer.claim('late', { by: mole, authPrev: headOf(owner) }), writer.cosign(mole, writer.genesis)]
    const verdicts = await owner.gate.admitMany(
      late.map(({ bytes }) => bytes),
      { peer: 'p', registry }
    )
    expect(verdicts).toMatchObject([{ reason: 'revoked' }, { reason: 'revoked' }])
  })

  test('is in no longer when its only role is taken away', async () => {
    await givenTo('curator')
    await claimAll()
    const asked = { ...ROUTINE, key: mole.did, role: 'curator' }
    expect((await revokeRole(owner.commands, REGISTRY, asked)).length).toBeGreaterThan(1)
    expect(standing(mole.did)).toBe('ended')
  })
})

/** The owner's commands, of which the `n`th statement is not written. */
function failingAt(n: number): ExpelComponents {
  let writes = 0
  return {
    ...owner.commands,
    author: {
      write: (...order) => {
        writes += 1
        if (writes === n) return Promise.reject(new Error('disk full'))
        return owner.commands.author.write(...order)
      }
    }
  }
}

describe('an expulsion that was interrupted', () => {
  // The revocation of the member, the grant to the other one, the revocation of the invite.
  test.each([1, 2, 3])('at statement %i is finished when it is asked for again', async n => {
    const member = ann.signer.principal
    await expect(expelled(member, { by: failingAt(n) })).rejects.toThrow('disk full')
    await expelled(member)
    expect(invitesOf(authorityOf(), await factsOf(), NOW)).toMatchObject([{ state: 'ended', used: 0 }])
    expect([standing(member), standing(bob.signer.principal)]).toEqual(['ended', 'member'])
    expect(await codeOfAsync(() => expelled(member))).toBe('USAGE')
  })

  test('does not pass for one when the member was given a role meanwhile', async () => {
    const { author } = owner.commands
    const by: ExpelComponents = {
      ...owner.commands,
      author: {
        write: async (...order) => {
          const fact = await author.write(...order)
          await owner.take([writer.grant(ann.signer.principal, 'mirror', { authPrev: headOf(owner) })])
          return fact
        }
      }
    }
    await expect(expelled(ann.signer.principal, { by })).rejects.toThrow('still holds mirror')
  })
})

describe('whoever came by the same invite', () => {
  const puppet = person('puppet')

  test('is kept and named', async () => {
    expect(await expelled(ann.signer.principal)).toMatchObject({ kept: [bob.signer.principal], doubtful: [] })
  })

  test('is not kept at a place that was taken over, neither the thief nor who had it, and both are named', async () => {
    await owner.take([await rivalOf(bob.signer.principal, puppet)])
    expect(standing(puppet.did)).toBe('member')
    const result = await expelled(ann.signer.principal)
    const keys = [bob.signer.principal, puppet.did].toSorted()
    expect(result).toMatchObject({ kept: [], doubtful: [{ invite: token.invite, keys }] })
    expect(authorityOf().grants).toEqual([])
    expect([standing(puppet.did), standing(bob.signer.principal)]).toEqual(['unknown', 'unknown'])
  })

  test.each([true, false])('is kept when the owner says so, whoever has the place: taken over %s', async isLower => {
    await owner.take([await rivalOf(bob.signer.principal, puppet, isLower)])
    const result = await expelled(ann.signer.principal, { keep: [bob.signer.principal] })
    expect(result).toMatchObject({ kept: [bob.signer.principal], doubtful: [{ keys: [puppet.did] }] })
    expect([standing(puppet.did), standing(bob.signer.principal)]).toEqual(['unknown', 'member'])
  })

  test('is kept when a resolution had decided for it', async () => {
    const rival = await rivalOf(bob.signer.principal, puppet)
    await owner.take([rival])
    const own = (await factsOf()).find(({ body, id }) => body.chain === rival.body.chain && id !== rival.id)
    const value = { authPrev: headOf(owner), head: null, keep: own?.id ?? rival.id, over: [rival.id] }
    await owner.take([writer.write(writer.root, 'registry', { type: 'resolve', value })])
    expect(await expelled(ann.signer.principal)).toMatchObject({ kept: [bob.signer.principal], doubtful: [] })
  })

  test('of a place that the member took for itself is named, and the member is not', async () => {
    const thief = await seatOf(person('thief'), { registry, clock, host: 'thief' })
    await owner.take([await rivalOf(bob.signer.principal, person('thief'))])
    const result = await expelled(thief.signer.principal)
    expect(result).toMatchObject({ kept: [ann.signer.principal], doubtful: [{ keys: [bob.signer.principal] }] })
  })

  test('is not asked for who shares no place', async () => {
    const keep = [bob.signer.principal]
    expect(await codeOfAsync(() => expelled(ann.signer.principal, { keep }))).toBe('USAGE')
    expect(standing(ann.signer.principal)).toBe('member')
  })
})

test('an invite at whose places its key said something else is as open as it was, and its places are used', async () => {
  token = await invite(owner, 2)
  const key = door()
  const payload = { type: 'cosign', value: { fact: token.invite, head: writer.genesis.id } } as const
  const places = [0, 1].map(use => usePosition({ key: key.did, uses: 2 }, use))
  const spoilt = places.map(place => writer.write(key, 'registry', payload, { ...place, prev: null }))
  await owner.take(spoilt)
  expect(await owner.ids()).toContain(spoilt[0]?.id)
  const mine = async () => invitesOf(authorityOf(), await factsOf(), NOW).filter(({ fact }) => fact === token.invite)
  expect(await mine()).toMatchObject([{ used: 0, state: 'open' }])
  for (const name of ['carl', 'dora']) {
    const seat = await join(owner, name, token)
    expect(standing(seat.signer.principal)).toBe('member')
  }
  expect(await mine()).toMatchObject([{ used: 2, state: 'used-up', doubled: 0 }])
})
