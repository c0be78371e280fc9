import { describe, expect, test } from 'vitest'
import { inviteLines } from '../../bin/commands/invite.ts'
import { joinedLines } from '../../bin/commands/join.ts'
import { leftText, shortKey, spanText } from '../../bin/commands/member-key.ts'
import { expelledLines, memberLines } from '../../bin/commands/members.ts'
import { aliasText, createdLines, rotatedLines, swarmLines, swarmRows } from '../../bin/commands/swarm-text.ts'
import type {
  ExpelResult,
  InviteResult,
  JoinResult,
  ShownCertificate,
  ShownMember,
  ShownMembers,
  ShownSwarm
} from '../../node/services/swarm/methods.ts'
import { parseFactId, parseRegistryId } from '../../protocol/cid.ts'
import { parsePrincipal } from '../../protocol/did.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Date.UTC(2027, 0, 10, 12)

const ANN = parsePrincipal('did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK')
const BOB = parsePrincipal('did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp')
const REGISTRY = parseRegistryId('bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae')
const FACT = parseFactId('bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
const PEER = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'
const TOKEN = 'ggen1AbCdEf_-012345'

const certificate = (leftMs: number): ShownCertificate => ({
  peer: PEER,
  issuer: ANN,
  issued: NOW + leftMs - 30 * DAY,
  expires: NOW + leftMs
})

const swarm = (other: Partial<ShownSwarm> = {}): ShownSwarm => ({
  registry: REGISTRY,
  name: 'acme',
  alias: 'acme',
  running: true,
  peerId: PEER,
  addresses: [`/ip4/10.0.0.5/tcp/4918/p2p/${PEER}`],
  peers: 2,
  epoch: 1,
  overlapUntil: null,
  psk: false,
  certificate: certificate(29 * DAY + HOUR),
  warnings: [],
  ...other
})

const text = (lines: readonly string[]): string => lines.join('\n')

describe('spans and keys', () => {
  test.each([
    [29 * DAY + 23 * HOUR, '29 d left'],
    [DAY, '1 d left'],
    [DAY - 1, '23 h left'],
    [59 * 60_000, '59 min left'],
    [1, 'under 1 min left'],
    [0, 'over since 2027-01-10 12:00'],
    [-HOUR, 'over since 2027-01-10 11:00']
  ])('a certificate that is good for %i ms', (ms, said) => expect(leftText(NOW + ms, NOW)).toBe(said))

  test('a span is cut, never rounded up', () => expect(spanText(2 * DAY - 1)).toBe('1 d'))

  test('a key in short shows both ends, and no control characters', () => {
    expect(shortKey(ANN)).toBe('z6MkhaXg…EGta2doK')
    expect(shortKey('did:key:z6\u001b[2Jshort')).toBe('z6short')
  })
})

describe('swarm create and swarm list', () => {
  test('a new one says where it listens and what to do now', () => {
    expect(createdLines(swarm({ psk: true }))).toEqual([
      `     Created acme  ${REGISTRY}`,
      '             private: a swarm of its own, behind a pre-shared key',
      `   Listening /ip4/10.0.0.5/tcp/4918/p2p/${PEER}`,
      '        Next ggen-node invite --registry acme'
    ])
  })

  test('one whose node does not run says so', () => {
    expect(text(createdLines(swarm({ running: false, addresses: [] })))).toContain(
      'ggen-node start, then ggen-node invite'
    )
  })

  test('nothing to list says how to get one', () => {
    expect(swarmLines([], NOW)).toEqual(['No private swarm yet: ggen-node swarm create NAME, or ggen-node join TOKEN'])
  })

  test('a table, then warnings and overlaps', () => {
    const lines = swarmLines(
      [
        swarm(),
        swarm({
          name: 'globex',
          alias: 'g',
          running: false,
          peers: 0,
          epoch: 3,
          psk: true,
          certificate: null,
          overlapUntil: NOW + DAY,
          warnings: ['nobody who could\u001b[2J renew it was met for 12 d']
        })
      ],
      NOW
    )
    expect(lines).toEqual([
      'SWARM       HOST     PEERS  EPOCH   CERTIFICATE  REGISTRY',
      `acme        running  2      1       29 d left    ${REGISTRY}`,
      `globex (g)  stopped  0      3, psk  none         ${REGISTRY}`,
      '        Note g  nobody who could renew it was met for 12 d',
      '     Overlap g  the secret before is good until 2027-01-11 12:00'
    ])
  })

  test('an overlap that is over is not spoken of', () => {
    expect(text(swarmLines([swarm({ overlapUntil: NOW })], NOW))).not.toContain('Overlap')
  })

  test('status has a row for each, and nothing where there is none', () => {
    expect(swarmRows([], NOW)).toEqual([])
    expect(swarmRows([swarm({ peers: 1, certificate: certificate(-HOUR) })], NOW)).toEqual([
      ['Swarm', 'acme: running, 1 peer, certificate over since 2027-01-10 11:00']
    ])
  })

  test('registries are marked as private by their id, not by their alias', () => {
    const entry = { id: REGISTRY, alias: 'acme', isDefault: false }
    expect(aliasText(entry, [])).toBe('acme')
    expect(aliasText({ ...entry, isDefault: true }, [])).toBe('acme (default)')
    expect(aliasText({ ...entry, isDefault: true }, [swarm()])).toBe('acme (default, private)')
    expect(aliasText({ ...entry, id: 'another' }, [swarm()])).toBe('acme')
  })
})

describe('invite', () => {
  const made: InviteResult = {
    token: TOKEN,
    fact: FACT,
    registry: REGISTRY,
    alias: 'acme',
    role: 'publisher',
    expires: NOW + 7 * DAY,
    uses: 3,
    member: null,
    missing: 0,
    file: null
  }
  const open = { tokenFile: null, isReachable: true }

  test('the token stands alone on its line', () => {
    expect(inviteLines(made, open)).toEqual([
      '     Invited to acme as publisher  3 uses, until 2027-01-17 12:00',
      TOKEN,
      '      Secret whoever has the token can join: hand it over as you would a password',
      '        Next ggen-node join -, on the machine that is to join'
    ])
  })

  test('a token that went to a file is printed nowhere', () => {
    const said = text(inviteLines(made, { ...open, tokenFile: '/x/token' }))
    expect(said).not.toContain(TOKEN)
    expect(said).toContain('Token /x/token')
  })

  test('a member for a machine: how it gets there', () => {
    const said = text(inviteLines({ ...made, uses: null, member: BOB }, open))
    expect(said).toContain('Made z6MkiTBz…X3mDooWp a publisher of acme  until 2027-01-17 12:00')
    expect(said).toContain('$GGEN_NODE_TOKEN')
    expect(said).not.toContain('use,')
  })

  test('what more owners must sign is good for nothing yet', () => {
    expect(text(inviteLines({ ...made, missing: 2 }, open))).toMatch(
      /Waits .*2 more owners signed\n +ggen-node sign bafyrei/
    )
    expect(text(inviteLines({ ...made, missing: 1, file: '/x/i.facts' }, open))).toContain('ggen-node sign /x/i.facts')
  })

  test('a token that leads to a host that does not run comes with a note', () => {
    expect(text(inviteLines(made, { ...open, isReachable: false }))).toContain('nobody can join through this node')
  })
})

describe('join', () => {
  const joined: JoinResult = {
    registry: REGISTRY,
    alias: 'acme',
    name: 'acme',
    member: BOB,
    role: 'member',
    peer: PEER,
    facts: 12,
    packages: 1,
    certificate: certificate(30 * DAY),
    already: false,
    warnings: []
  }

  test('who, through whom, and what to do now', () => {
    expect(joinedLines(joined, NOW)).toEqual([
      '      Joined acme as member',
      `             ${REGISTRY}`,
      `      Member ${BOB}`,
      `     Through ${PEER}`,
      ' Certificate 30 d left, renewed in time',
      '    Received 12 statements about 1 package',
      '        Next ggen-node install acme:NAME'
    ])
  })

  test('a member that was one before, without a certificate, with a warning', () => {
    const said = text(
      joinedLines({ ...joined, already: true, alias: 'a', certificate: null, warnings: ['w\u0007'] }, NOW)
    )
    expect(said).toContain('Unchanged this node is a member of acme, here a')
    expect(said).toContain('not yet: the first owner or curator')
    expect(said).toMatch(/Note w ?$/m)
  })
})

describe('members', () => {
  const host = (other: Partial<ShownMember['hosts'][number]> = {}): ShownMember['hosts'][number] => ({
    peer: PEER,
    connected: false,
    lastSeen: null,
    certificate: certificate(29 * DAY),
    ...other
  })
  const member = (other: Partial<ShownMember> = {}): ShownMember => ({
    key: BOB,
    roles: ['publisher', 'member'],
    state: 'member',
    invite: { fact: FACT, by: ANN },
    isSelf: false,
    hosts: [host({ connected: true, lastSeen: NOW })],
    ...other
  })
  const shown = (other: Partial<ShownMembers> = {}): ShownMembers => ({
    registry: REGISTRY,
    alias: 'acme',
    members: [
      member({ key: ANN, roles: ['owner'], invite: null, isSelf: true, hosts: [host({ lastSeen: NOW })] }),
      member()
    ],
    invites: [],
    publishers: [],
    ...other
  })
  const lines = (
    what: ShownMembers,
    { isFull = false, swarms = [] as readonly ShownSwarm[] } = {}
  ): readonly string[] => memberLines(what, { swarms, now: NOW, isFull })

  test('a table in which this node is marked', () => {
    expect(lines(shown())).toEqual([
      'MEMBER                         ROLES              CERTIFICATE  SEEN       INVITED BY',
      `${shortKey(ANN)} (this node)  owner              29 d left    here       nobody`,
      `${shortKey(BOB)}              publisher, member  29 d left    connected  ${shortKey(ANN)}`
    ])
  })

  test('whole keys when asked for', () => {
    const said = text(lines(shown(), { isFull: true }))
    expect(said).toContain(ANN)
    expect(said).toContain(BOB)
  })

  test.each<[readonly Partial<ShownMember['hosts'][number]>[], string]>([
    [[], 'never'],
    [[{}], 'by others'],
    [[{ lastSeen: NOW - 3 * HOUR }, { lastSeen: NOW - DAY }], '3 h ago'],
    [[{ lastSeen: NOW + 5_000 }], 'under 1 min ago'],
    [[{ lastSeen: NOW - DAY }, { connected: true }], 'connected']
  ])('when it was seen: %j', (hosts, seen) => {
    expect(lines(shown({ members: [member({ hosts: hosts.map(host) })] }))[1]).toContain(`  ${seen}  `)
  })

  test('the certificate that is good longest counts, and its end is warned of', () => {
    const near = member({
      hosts: [
        host({ certificate: certificate(2 * DAY) }),
        host({ certificate: certificate(9 * DAY) }),
        host({ certificate: null })
      ]
    })
    const said = lines(shown({ members: [near] }))
    expect(said[1]).toContain('9 d left')
    expect(text(said)).toContain(`the certificate of ${shortKey(BOB)} runs out in 9 d`)
    expect(
      text(lines(shown({ members: [member({ hosts: [host({ certificate: certificate(11 * DAY) })] })] })))
    ).not.toContain('runs out')
    expect(lines(shown({ members: [member({ hosts: [host({ certificate: null })] })] }))[1]).toContain('none seen')
  })

  test('a member whose roles have run out', () => {
    expect(lines(shown({ members: [member({ state: 'expired', roles: [] })] }))[1]).toContain('  expired  ')
  })

  test('invites with their state, and a note for one that two people took', () => {
    const said = lines(
      shown({
        invites: [
          { fact: FACT, by: ANN, role: 'member', expires: NOW + DAY, uses: 5, used: 2, state: 'open', doubled: 1 }
        ]
      })
    )
    expect(said).toContain(`member      2 of 5  2027-01-11 12:00  open   ${shortKey(ANN)}  ${FACT}`)
    expect(text(said)).toContain(`1 use of invite ${FACT} taken twice`)
  })

  test('warnings of this swarm, and of no other', () => {
    const other = parseRegistryId('bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
    const swarms = [swarm({ warnings: ['ours'] }), swarm({ registry: other, warnings: ['theirs'] })]
    const said = text(lines(shown(), { swarms }))
    expect(said).toContain('ours')
    expect(said).not.toContain('theirs')
  })
})

describe('expel and rotate', () => {
  const expelled: ExpelResult = {
    registry: REGISTRY,
    alias: 'acme',
    member: BOB,
    facts: [FACT],
    invites: [],
    kept: [],
    doubtful: [],
    missing: 0,
    cut: 1,
    rotated: false,
    file: null
  }

  test('says what the member keeps, what it gets no more, and what it knows until a rotation', () => {
    expect(expelledLines(expelled)).toEqual([
      `    Expelled ${BOB} from acme`,
      `             ${FACT}`,
      '         Cut 1 connection of this node; every other member cuts its own when it hears of this',
      '        Gets no byte, no name and no statement of this registry any more',
      '       Keeps what it already has: packages, names and statements that it received stay with it',
      '       Knows the secret of acme until that changes: it can tell that this swarm is there',
      '        Next ggen-node rotate --registry acme'
    ])
  })

  test('after a rotation it does not know the secret', () => {
    const said = text(expelledLines({ ...expelled, rotated: true, invites: [FACT] }))
    expect(said).toContain('it does not know the new secret of acme')
    expect(said).toContain('Ended 1 invite that it holds or made')
    expect(said).not.toContain('Knows')
    expect(said).not.toContain('Next')
  })

  test('names who is kept, and who shares a place that several claim', () => {
    const doubtful = [{ invite: FACT, keys: [BOB] }]
    const kept = Array.from({ length: 18 }, () => BOB)
    const said = text(expelledLines({ ...expelled, invites: [FACT], kept, doubtful }))
    expect(said.split(`Kept ${BOB} who came by the same invite`)).toHaveLength(17)
    expect(said).toContain('and 2 others')
    expect(said).toMatch(new RegExp(`used more than once, and nobody is kept for it:\n *${BOB}\n.*role grant DID ROLE`))
  })

  test('what more owners must sign is not in force', () => {
    const said = text(expelledLines({ ...expelled, missing: 1, cut: 0, file: '/x/e.facts' }))
    expect(said).not.toContain('Expelled')
    expect(said).toContain(`${BOB} is in acme until 1 more owner signed`)
    expect(said).toContain('ggen-node sign /x/e.facts on their side')
  })

  test('a rotation says until when the old secret is good', () => {
    expect(text(rotatedLines({ alias: 'acme', epoch: 2, overlapUntil: NOW + DAY }, NOW))).toMatch(
      /epoch 2.*\n.*good until 2027-01-11 12:00/
    )
    expect(text(rotatedLines({ alias: 'acme', epoch: 2, overlapUntil: NOW }, NOW))).toContain('Overlap none')
  })
})
