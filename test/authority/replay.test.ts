import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestSubjectOf } from '../../protocol/subject.ts'
import { createKey } from '../../node/key-ring.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { encodeBody, parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope, FactBody } from '../../protocol/fact.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { make, person, subject } from '../support/facts.ts'
import { everythingOf, factsIn, fileWith, only, somebody, stolenFrom } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'

const eve = person('eve')

let ann: Somebody
let bob: Somebody
let registry: RegistryId
let other: RegistryId

beforeAll(async () => {
  ;[ann, bob] = await Promise.all([somebody(), somebody()])
  registry = (await ann.node.call('registryCreate', { name: 'acme', roots: [bob.key], threshold: 2 })).id
  other = (await ann.node.call('registryCreate', { name: 'other', alias: 'other' })).id
  await bob.follow(registry, await everythingOf(ann, registry))
  const out = ann.file()
  await ann.publish({ name: 'alpha' }, { out })
  await bob.node.call('sign', { file: out, dryRun: false })
  await ann.admit(out)
  const grant = ann.file()
  await ann.node.call('roleGrant', { to: eve.did, role: 'publisher', out: grant })
  await bob.node.call('sign', { file: grant, dryRun: false })
  await ann.admit(grant)
  await ann.publish({ name: 'beta' }, { registry: 'other' })
  await sayTheRest()
})

afterAll(() => Promise.all([ann, bob].map(({ node }) => node.stop())))

/** What is said of a release and of a registry, in a registry where one owner is enough. */
async function sayTheRest(): Promise<void> {
  const at = { registry: 'other' }
  const path = ann.file()
  await writeFile(path, HOLE)
  await ann.node.call('advisoryAdd', { path, ...at })
  await ann.node.call('attest', { reference: 'other:beta', type: 'star', ...at })
  await ann.node.call('quarantine', { reference: 'other:beta@1.0.0', reason: 'a key leaked' })
  await ann.node.call('unquarantine', { reference: 'other:beta@1.0.0' })
  const file = ann.file()
  await writeFile(file, 'version = 1\npreset = "open"\n')
  await ann.node.call('policyPublish', { file, ...at })
  // Of one's own release nobody's word is heard.
  const watcher = await createKey(ann.node.home, 'watcher')
  await ann.node.call('roleGrant', { ...at, to: watcher.key, role: 'mirror' })
  await ann.node.call('yank', { reference: 'other:beta@1.0.0', reason: 'it is old' })
  await ann.node.call('observe', { what: 'other:beta', key: 'watcher' })
}

const HOLE = JSON.stringify({
  id: 'OSV-2026-1',
  modified: '2026-01-31T12:00:00Z',
  affected: [{ package: { ecosystem: 'ggen', name: 'beta' }, versions: ['0.9.0'] }]
})

/** The signature of a fact over another body. */
function moved({ bytes, body }: Envelope, change: Partial<FactBody>): Envelope {
  const sig = parseEnvelope(bytes).signature
  return parseEnvelope(encodeCbor({ body: encodeBody({ ...body, ...change }), sig }))
}

const counts = async (): Promise<readonly number[]> => (await ann.node.registries.list()).map(({ facts }) => facts)

describe('a valid statement, replayed where it was not made for', () => {
  const places: readonly (readonly [string, (fact: Envelope) => Partial<FactBody> | undefined])[] = [
    ['in another registry', ({ body }) => (body.registry === null ? undefined : { registry: other })],
    ['about another package', ({ body }) => (body.subject === 'registry' ? undefined : { subject: subject('beta') })],
    [
      'about the registry',
      ({ body }) =>
        body.subject === 'registry' || body.type === 'claim' || body.type === 'release'
          ? undefined
          : { subject: 'registry' }
    ],
    ['at another position', ({ body, id }) => (body.registry === null ? undefined : { seq: body.seq + 1, prev: id })],
    [
      'in another chain',
      ({ body }) => (body.registry === null ? undefined : { chain: 'a'.repeat(32), seq: 0, prev: null })
    ],
    ['by another author', ({ body }) => (body.registry === null ? undefined : { author: eve.did })],
    ['with another time', ({ body }) => ({ time: body.time + 1 })],
    [
      'with another role',
      ({ body }) => {
        const payload = parsePayload(body)
        if (payload.type !== 'grant') return undefined
        return { payload: encodePayload({ ...payload, value: { ...payload.value, role: 'owner' } }) }
      }
    ]
  ]

  test.each(places)('%s is never taken', async (_, change) => {
    const before = await counts()
    const facts = [...(await factsIn(await everythingOf(ann, registry)))]
    const replayed = facts.flatMap(fact => {
      const to = change(fact)
      return to === undefined ? [] : [moved(fact, to)]
    })
    expect(replayed.length).toBeGreaterThan(0)
    const verdicts = await ann.admit(await fileWith(ann, replayed))
    expect(verdicts.filter(verdict => verdict.startsWith('accept'))).toEqual([])
    // A genesis with another time is another registry, and nobody follows it; where nobody named the author, it waits.
    expect(verdicts.filter(verdict => !/^reject|unknown-registry|author-unnamed/.test(verdict))).toEqual([])
    expect(await counts()).toEqual(before)
  })
})

describe('what is said in one registry', () => {
  const TYPES = ['advisory', 'attestation', 'observation', 'policy', 'quarantine', 'unquarantine', 'yank']
  const places: readonly (readonly [string, (fact: Envelope) => Partial<FactBody> | undefined])[] = [
    ['in another registry', () => ({ registry })],
    [
      'about something else',
      ({ body }) => {
        if (body.subject === 'registry') return undefined
        return { subject: body.type === 'attestation' ? digestSubjectOf('a'.repeat(64)) : subject('alpha') }
      }
    ],
    ['at another position', ({ body, id }) => ({ seq: body.seq + 1, prev: id })],
    ['in another chain', () => ({ chain: 'a'.repeat(32), seq: 0, prev: null })],
    ['by another author', () => ({ author: eve.did })],
    ['at another time', ({ body }) => ({ time: body.time + 1 })],
    [
      'as a statement of another type',
      ({ body }) => {
        // Others have a subject that no yank has: they are no facts at all.
        const isOfPackage = body.type !== 'attestation' && body.subject !== 'registry'
        return isOfPackage ? { type: body.type === 'yank' ? 'unyank' : 'yank' } : undefined
      }
    ]
  ]

  test.each(places)('%s is never taken', async (_, change) => {
    const before = await counts()
    const facts = (await factsIn(await everythingOf(ann, other))).filter(({ body }) => TYPES.includes(body.type))
    expect([...new Set(facts.map(({ body }) => body.type))].toSorted()).toEqual(TYPES)
    const replayed = facts.flatMap(fact => {
      const to = change(fact)
      return to === undefined ? [] : [moved(fact, to)]
    })
    expect(replayed.length).toBeGreaterThanOrEqual(4)
    const verdicts = await ann.admit(await fileWith(ann, replayed))
    expect(verdicts.length).toBe(replayed.length)
    expect(verdicts.filter(verdict => !/^reject|author-unnamed/.test(verdict))).toEqual([])
    expect(await counts()).toEqual(before)
  })
})

describe('one key, counted twice', () => {
  test('among the roots is one root', async () => {
    const roots = [ann.key, ann.key]
    const params = { name: 'double', alias: 'double', roots, threshold: 2 }
    expect((await refusal(ann.node.call('registryCreate', params))).code).toBe('USAGE')
    const { alias } = await ann.node.call('registryCreate', { ...params, threshold: 1 })
    expect((await ann.node.call('registryShow', { registry: alias })).owners).toEqual([ann.key])
    await ann.node.call('registryRemove', { registry: alias, purge: true })
  })

  test('by two signatures from two chains meets no threshold', async () => {
    const { fact } = only(await ann.node.call('roleGrant', { to: eve.did, role: 'curator' }))
    const stolen = await stolenFrom(ann)
    const { body } = (await factsIn(await everythingOf(ann, registry))).find(({ id }) => id === fact) ?? {}
    if (body === undefined) throw new Error('the grant is not here')
    const payload = parsePayload(body)
    if (payload.type !== 'grant') throw new Error('not a grant')
    const value = { fact, head: payload.value.authPrev }
    const cosigns = ['b', 'c'].map(digit => {
      const at = { ...body, type: 'cosign' as const, chain: digit.repeat(32), seq: 0, prev: null }
      return make({ ...at, payload: encodePayload({ type: 'cosign', value }) }, { ...stolen, did: ann.key })
    })
    expect(await ann.admit(await fileWith(ann, cosigns))).toEqual(['accept', 'accept'])
    expect((await ann.node.call('sign', { fact, dryRun: true })).signed).toMatchObject([
      { counts: false, missing: 1, signed: [ann.key] }
    ])
    await bob.admit(await everythingOf(ann, registry))
    expect((await bob.node.call('sign', { fact, dryRun: false })).signed).toMatchObject([{ counts: true }])
  })
})
