import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NodeMeter } from '../../node/meter.ts'
import type { CountedGate } from '../../node/meter.ts'
import type { Admission } from '../../protocol/admission.ts'
import { caughtUp, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'

const SLOW = 120_000
let a: Daemon
let b: Daemon

beforeAll(async () => {
  a = await startDaemon()
  const { id } = await a.client.call('registryCreate', { name: 'office' })
  await a.client.call('publish', { folder: await packageFolder({ name: 'alpha' }), registry: id })
  b = await startDaemon()
  await b.client.call('registryAdd', { id, peer: a.address, isDefault: true })
  await caughtUp(a, b, id)
}, SLOW)

afterAll(async () => {
  await Promise.all([a.stop(), b.stop()])
})

describe('status of a running node', () => {
  test('tells what came in, what became of it, and what there is room for', async () => {
    const [ours, theirs] = [await a.client.call('status', {}), await b.client.call('status', {})]
    expect(ours.activity.facts).toMatchObject({ accept: 4, reject: 0 })
    expect(theirs.activity.facts).toMatchObject({ accept: 4, reject: 0 })
    expect(theirs.activity.bytesIn).toBeGreaterThan(500)
    expect(ours.activity.bytesOut).toBeGreaterThan(500)
    expect(theirs.disk.freeBytes).toBeGreaterThan(0)
    expect(theirs.disk.totalBytes).toBeGreaterThan(theirs.disk.freeBytes)
  })

  test('reads well', async () => {
    const { stdout } = await runCli(['status'], { home: b.home })
    expect(stdout).toMatch(/^Facts +4 taken, 0 pending, \d+ known or ignored, 0 rejected; [\d.]+\/s$/m)
    expect(stdout).toMatch(/^Received +[\d.]+ KiB, [\d.]+ (?:KiB|B)\/s$/m)
    expect(stdout).toMatch(/^Disk +.* free$/m)
  })
})

describe('the meter', () => {
  const gate = (admissions: readonly Admission[]): CountedGate => ({
    admit: async () => admissions[0] ?? { verdict: 'ignore', reason: 'seen' },
    admitMany: async () => admissions
  })

  test('counts what the gate said, and what it took only when it is told', async () => {
    const meter = new NodeMeter()
    const refused: readonly Admission[] = [
      { verdict: 'reject', reason: 'malformed' },
      { verdict: 'reject', reason: 'malformed' },
      { verdict: 'ignore', reason: 'over-rate' }
    ]
    await meter.watch(gate(refused)).admitMany([], { peer: 'p' })
    await meter.watch(gate(refused)).admit(new Uint8Array(0), { peer: 'p' })
    meter.accepted()
    const { facts } = meter.activity(0, { bytesIn: 0, bytesOut: 0 })
    expect(facts).toEqual({ accept: 1, pending: 0, ignore: 1, reject: 3 })
    expect(meter.metrics.format()).toContain('ggen_facts_total{verdict="reject"} 3')
  })

  test('tells rates over the last minute, and none before any time has passed', () => {
    const meter = new NodeMeter()
    expect(meter.activity(0, { bytesIn: 9, bytesOut: 9 }).perSecond).toEqual({ facts: 0, bytesIn: 0, bytesOut: 0 })
    for (let second = 0; second <= 600; second += 5) {
      meter.sample(second * 1000, { bytesIn: second <= 300 ? 0 : (second - 300) * 100, bytesOut: second })
    }
    const { perSecond, bytesIn } = meter.activity(600_000, { bytesIn: 30_000, bytesOut: 600 })
    expect(perSecond).toEqual({ facts: 0, bytesIn: 100, bytesOut: 1 })
    expect(bytesIn).toBe(30_000)
  })

  test('a clock that was set back gives no rate', () => {
    const meter = new NodeMeter()
    meter.sample(10_000, { bytesIn: 0, bytesOut: 0 })
    expect(meter.activity(5_000, { bytesIn: 100, bytesOut: 0 }).perSecond.bytesIn).toBe(0)
  })
})
