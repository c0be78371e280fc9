import { expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { caughtUp } from '../support/daemon.ts'
import { describeWithNetns, newMachine, newSwitch } from '../support/netns.ts'

describeWithNetns('two nodes on one local network that were told of nobody', ['tcpdump'], () => {
  test('find each other by multicast, and what they call there says nothing but who they are and where', async () => {
    const lan = await newSwitch()
    const [one, two] = [await newMachine('one'), await newMachine('two')]
    await one.plug(lan, 1)
    await two.plug(lan, 2)
    const recording = await capture(two)
    const a = await one.startDaemon({ args: ['--mdns'] })
    const { id: registry } = await a.client.call('registryCreate', { name: 'office', alias: 'drawer' })
    const b = await two.startDaemon({ args: ['--mdns'] })
    await b.client.call('registryAdd', { id: registry, alias: 'drawer', isDefault: true })
    await caughtUp(a, b, registry)

    const { key } = await a.client.call('status', {})
    const called = (await recording.stop()).filter(({ kind }) => kind === 'udp')
    expect(called.map(({ toPort }) => toPort)).toEqual(called.map(() => 5353))
    expect(called.map(({ to }) => to)).toEqual(called.map(() => '224.0.0.251'))
    const said = (text: string): boolean => called.some(({ payload }) => payload.includes(text))
    // A test that sees no call and no answer would prove nothing.
    expect([said('_ggen'), said(a.peerId), said(`/ip4/${one.address}/tcp/`)]).toEqual([true, true, true])
    expect(['office', 'drawer', 'ggen-node', registry, key].filter(said)).toEqual([])
    await Promise.all([a.stop(), b.stop()])
  })
})
