import { describe, expect, test } from 'vitest'
import { swarmFindings } from '../../node/swarm-findings.ts'
import type { ShownSwarm } from '../../node/services/swarm/methods.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import { parsePrincipal } from '../../protocol/did.ts'

const DAY = 24 * 3_600_000
const NOW = Date.UTC(2027, 0, 10)
const PEER = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'

const swarm = (leftMs: number | null, other: Partial<ShownSwarm> = {}): ShownSwarm => ({
  registry: parseRegistryId('bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae'),
  name: 'acme',
  alias: 'acme',
  running: true,
  peerId: PEER,
  addresses: [],
  peers: 2,
  epoch: 1,
  overlapUntil: null,
  psk: false,
  certificate:
    leftMs === null
      ? null
      : {
          peer: PEER,
          issuer: parsePrincipal('did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'),
          issued: NOW - DAY,
          expires: NOW + leftMs
        },
  warnings: [],
  ...other
})

describe('what doctor says of private swarms', () => {
  test('nothing where there is none', () => expect(swarmFindings([], NOW)).toEqual([]))

  test('one that is well', () => {
    expect(swarmFindings([swarm(29 * DAY)], NOW)).toEqual([
      { check: 'swarm acme', ok: true, text: '2 connected, certificate good for 29 days' }
    ])
  })

  test('one whose host does not run is no fault, and says how to start it', () => {
    const [finding] = swarmFindings([swarm(29 * DAY, { running: false })], NOW)
    expect(finding).toMatchObject({ ok: true, next: 'ggen-node start' })
    expect(finding?.text).toContain('its host does not run')
  })

  test('a certificate that is over, to the millisecond', () => {
    expect(swarmFindings([swarm(0)], NOW)[0]).toMatchObject({ ok: false })
    expect(swarmFindings([swarm(0)], NOW)[0]?.text).toContain('over since 2027-01-10T00:00:00.000Z')
    expect(swarmFindings([swarm(1)], NOW)[0]).toMatchObject({ ok: true })
  })

  test('what the node warns of, all of it, and what to do', () => {
    const [finding] = swarmFindings([swarm(null, { warnings: ['one', 'two'] })], NOW)
    expect(finding).toMatchObject({ ok: false, text: '2 connected, no certificate; one; two' })
    expect(finding?.next).toContain('ask one for a new invite')
  })
})
