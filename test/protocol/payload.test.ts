import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { decodeCbor } from '../../protocol/cbor.ts'
import { toLink } from '../../protocol/cid.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodeContent, encodePayload, namedKeys, parsePayload } from '../../protocol/payload.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]
const facts = new FactWriter(root)
const grant = facts.grant(ann.did, 'publisher')
const claim = facts.claim('alpha')
const cited = facts.cite(claim)
const release = facts.release('alpha', '1.0.0', cited)
const yank = facts.yank('alpha', '1.0.0', cited)
const unyank = facts.unyank('alpha', '1.0.0', [yank.id], { authority: cited })

const invite = facts.invite(ann.did, { uses: 2 })
const redeem = facts.redeem(invite, bob.did, { by: ann })

type Wire = Readonly<Record<string, unknown>>

function wireOf({ body }: Made): Wire {
  return decodeCbor(body.payload, 16) as Wire
}

function code(made: Made, changes: Wire): string {
  const payload = encode({ ...wireOf(made), ...changes })
  return codeOf(() => parsePayload({ ...made.body, payload } satisfies FactBody))
}

const all: readonly (readonly [string, Made])[] = [
  ['genesis', facts.genesis],
  ['grant', grant],
  ['claim', claim],
  ['release', release],
  ['yank', yank],
  ['unyank', unyank],
  ['invite', invite],
  ['redeem', redeem]
]

test.each(all)('a %s is read and encodes to the same bytes', (_, made) => {
  expect(toHex(encodePayload(parsePayload(made.body)))).toBe(toHex(made.body.payload))
})

test.each(all)('a %s with a key more or a key less is refused', (_, made) => {
  expect(code(made, { extra: 1 })).toBe('MALFORMED')
  for (const key of Object.keys(wireOf(made))) {
    const { [key]: _left, ...rest } = wireOf(made)
    for (const payload of [encode(rest), encode({ ...rest, other: null })]) {
      expect(
        codeOf(() => parsePayload({ ...made.body, payload })),
        key
      ).toBe('MALFORMED')
    }
  }
})

test.each(all)('a %s is not the payload of another type', (type, made) => {
  for (const [name, other] of all) {
    const payload = other.body.payload
    if (name !== type)
      expect(
        codeOf(() => parsePayload({ ...made.body, payload })),
        name
      ).toBe('MALFORMED')
  }
})

const link = toLink(claim.id)
const content = CID.createV1(0x55, link.multihash)
const keys = [root.did, ann.did, bob.did].toSorted()
const tooMany = Array.from({ length: LIMITS.fact.keysPerList + 1 }, (_, i) => person(`p${i}`).did).toSorted()
const authority = wireOf(release)['authority'] as Wire
const digests = wireOf(release)['digests'] as Wire
const manifest = wireOf(release)['manifest'] as Wire
const ids = (count: number): CID[] =>
  Array.from({ length: count }, (_, i) => facts.yank('many', `1.0.${i}`, cited).id)
    .toSorted()
    .map(id => toLink(id))
const sixtyFive = ids(LIMITS.fact.yanksPerUnyank + 1)

test.each<[string, Made, Wire]>([
  ['genesis: a name with capitals', facts.genesis, { name: 'Test' }],
  ['genesis: an empty name', facts.genesis, { name: '' }],
  ['genesis: a name that is too long', facts.genesis, { name: 'a'.repeat(65) }],
  ['genesis: no roots', facts.genesis, { roots: [] }],
  ['genesis: roots without the author', facts.genesis, { roots: [ann.did] }],
  ['genesis: roots out of order', facts.genesis, { roots: keys.toReversed() }],
  ['genesis: a root twice', facts.genesis, { roots: [root.did, root.did], threshold: 2 }],
  ['genesis: too many roots', facts.genesis, { roots: [...tooMany, root.did].toSorted() }],
  ['genesis: a threshold of nought', facts.genesis, { threshold: 0 }],
  ['genesis: a threshold above the roots', facts.genesis, { threshold: 2 }],
  ['genesis: a threshold that is a fraction', facts.genesis, { threshold: 0.5 }],
  ['genesis: a recovery key that is none', facts.genesis, { recovery: 'did:key:z6Mk' }],
  ['genesis: an admission it does not know', facts.genesis, { admission: 'closed' }],
  ['genesis: a visibility it does not know', facts.genesis, { visibility: 'secret' }],
  ['genesis: a nonce of 15 bytes', facts.genesis, { nonce: new Uint8Array(15) }],
  ['grant: a link to content', grant, { authPrev: content }],
  ['grant: an id that is text', grant, { authPrev: claim.id }],
  ['grant: a key that is bytes', grant, { key: new Uint8Array(32) }],
  ['grant: a role it does not know', grant, { role: 'admin' }],
  ['grant: a role named like a method of objects', grant, { role: 'toString' }],
  ['grant: a scope that is a pattern', grant, { scope: 'ggen/a*b' }],
  ['grant: an expiry before time', grant, { expires: -1 }],
  ['grant: an expiry that is a fraction', grant, { expires: 0.5 }],
  ['claim: no keys', claim, { keys: [] }],
  ['claim: keys that are one text', claim, { keys: root.did }],
  ['claim: keys out of order', claim, { keys: keys.toReversed() }],
  ['claim: a key twice', claim, { keys: [ann.did, ann.did] }],
  ['claim: too many keys', claim, { keys: tooMany }],
  ['claim: a threshold above its keys', claim, { threshold: 2 }],
  ['release: a version of another spelling', release, { version: 'v1.0.0' }],
  ['release: a version other than its manifest', release, { version: '1.0.1' }],
  ['release: a manifest of another version', release, { manifest: { ...manifest, version: '1.0.1' } }],
  ['release: a manifest of another package', release, { manifest: { ...manifest, name: 'beta' } }],
  ['release: a manifest with an unknown key', release, { manifest: { ...manifest, scripts: [] } }],
  ['release: a manifest with a hostile path', release, { manifest: { ...manifest, executables: ['../x'] } }],
  ['release: a root that is a fact', release, { root: link }],
  ['release: a negative size', release, { size: -1 }],
  ['release: a size above the limit', release, { size: LIMITS.content.packageBytes + 1 }],
  ['release: a sha256 of 31 bytes', release, { digests: { ...digests, sha256: new Uint8Array(31) } }],
  ['release: a sha512 of 65 bytes', release, { digests: { ...digests, sha512: new Uint8Array(65) } }],
  ['release: an archive of negative length', release, { digests: { ...digests, archiveBytes: -1 } }],
  ['release: a digest more', release, { digests: { ...digests, md5: new Uint8Array(16) } }],
  ['release: an authority without its package', release, { authority: { registry: authority['registry'] } }],
  ['release: an authority that is one link', release, { authority: link }],
  ['yank: a version of another spelling', yank, { version: '1.0' }],
  ['yank: a reason that is too long', yank, { reason: 'x'.repeat(LIMITS.fact.reasonChars + 1) }],
  ['yank: a reason that steers a terminal', yank, { reason: '\u001b[2Jgone' }],
  ['yank: a reason that turns the reading direction', yank, { reason: 'ok \u202egnihton' }],
  ['yank: a reason that is bytes', yank, { reason: new Uint8Array(1) }],
  ['unyank: no yanks', unyank, { yanks: [] }],
  ['unyank: too many yanks', unyank, { yanks: sixtyFive }],
  ['unyank: yanks out of order', unyank, { yanks: sixtyFive.slice(0, 2).toReversed() }],
  ['unyank: a yank twice', unyank, { yanks: [link, link] }],
  ['unyank: a yank that is text', unyank, { yanks: [yank.id] }],
  ['invite: a head, as about a package', invite, { head: link }],
  ['invite: a role that decides about others', invite, { role: 'owner' }],
  ['invite: the recovery key', invite, { role: 'recovery' }],
  ['invite: a role named like a method of objects', invite, { role: 'constructor' }],
  ['invite: a scope that is a pattern', invite, { scope: 'ggen/a*b' }],
  ['invite: for ever', invite, { expires: null }],
  ['invite: an expiry that is a fraction', invite, { expires: 0.5 }],
  ['invite: no uses', invite, { uses: 0 }],
  ['invite: too many uses', invite, { uses: LIMITS.membership.inviteUses + 1 }],
  ['invite: a key that is bytes', invite, { key: new Uint8Array(32) }],
  ['redeem: an invite that is text', redeem, { invite: invite.id }],
  ['redeem: an invite that is content', redeem, { invite: content }],
  ['redeem: the key of the invite itself', redeem, { key: ann.did }]
])('refuses %s', (_, made, changes) => {
  expect(code(made, changes)).toBe('MALFORMED')
})

test.each<[string, Made, Wire]>([
  ['the longest name of a registry', facts.genesis, { name: 'a'.repeat(64) }],
  ['the longest list of keys', claim, { keys: tooMany.slice(1), threshold: 64 }],
  ['the largest package', release, { size: LIMITS.content.packageBytes }],
  ['the longest reason', yank, { reason: 'x'.repeat(LIMITS.fact.reasonChars) }],
  ['no reason', yank, { reason: '' }],
  ['the longest list of yanks', unyank, { yanks: sixtyFive.slice(1) }],
  ['a grant that expires', grant, { expires: 1 }],
  ['an invite with the most uses', invite, { uses: LIMITS.membership.inviteUses }],
  ['an invite into a part', invite, { scope: 'ggen/al*', role: 'mirror' }]
])('takes %s', (_, made, changes) => {
  expect(code(made, changes)).toBe('none')
})

test('a payload that is not cbor is refused', () => {
  for (const payload of [new Uint8Array(0), Uint8Array.of(0xff), encode([]), encode(null)]) {
    expect(codeOf(() => parsePayload({ ...claim.body, payload }))).toBe('MALFORMED')
  }
})

test('genesis, grant, claim, invite and redeem name keys, and nothing else does', () => {
  const named = all.map(([type, { body }]) => [type, namedKeys(parsePayload(body)).length])
  expect(named).toEqual([
    ['genesis', 2],
    ['grant', 1],
    ['claim', 1],
    ['release', 0],
    ['yank', 0],
    ['unyank', 0],
    ['invite', 1],
    ['redeem', 1]
  ])
  expect(namedKeys(parsePayload(grant.body))).toEqual([ann.did])
  expect(namedKeys(parsePayload(redeem.body))).toEqual([bob.did])
  expect(facts.cite(claim).package satisfies FactId).toBe(claim.id)
})

test('what is remembered of a release keeps nothing else in memory', () => {
  const payload = parsePayload(release.body)
  if (payload.type !== 'release') throw new Error('not a release')
  const bytes = encodeContent(payload.value)
  expect(encodeContent(payload.value)).toBe(bytes)
  expect(bytes.buffer.byteLength).toBe(bytes.length)
})
