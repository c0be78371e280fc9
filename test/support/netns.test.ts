import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { capture } from './capture.ts'
import { caughtUp, connected } from './daemon.ts'
import type { Daemon } from './daemon.ts'
import { CAN_MASQUERADE, describeWithNetns, newMachine, newSwitch } from './netns.ts'

describeWithNetns('machines in namespaces', ['tcpdump'], () => {
  test('two nodes on one switch find each other, and the capture shows their connection and nothing else', async () => {
    const lan = await newSwitch()
    const [one, two] = [await newMachine('one'), await newMachine('two')]
    await one.plug(lan, 1)
    await two.plug(lan, 2)
    const recording = await capture(two)
    const a = await one.startDaemon()
    expect(a.address).toContain(one.address)
    const { id: registry } = await a.client.call('registryCreate', { name: 'quiet' })
    const b = await two.startDaemon({ args: ['--bootstrap', a.address] })
    await b.client.call('registryAdd', { id: registry, peer: a.address, isDefault: true })
    await caughtUp(a, b, registry)

    const packets = await recording.stop()
    const opened = packets.filter(packet => packet.opens).map(({ from, to }) => `${from} ${to}`)
    expect(opened).toContain(`${two.address} ${one.address}`)
    // The kernel says of its own accord which multicast groups it is in.
    const kinds = new Set(packets.map(packet => packet.kind).filter(kind => kind !== 'igmp'))
    expect(kinds).toEqual(new Set(['arp', 'tcp']))
    expect(packets.some(packet => packet.payload.includes('/multistream/1.0.0'))).toBe(true)
    await Promise.all([a.stop(), b.stop()])
  })

  test('nothing of it is seen by the machine around it', async () => {
    const lan = await newSwitch()
    const machine = await newMachine('one')
    await machine.plug(lan, 1)
    expect(await readFile('/proc/net/dev', 'utf8')).not.toMatch(/\b(br0|port1):/)
    expect(await machine.run('cat', '/proc/net/dev')).toMatch(/eth0:/)
    expect(
      (await readdir('/run/netns')).filter(name => name.startsWith(`ggen-${process.pid}-`)).length
    ).toBeGreaterThan(1)
  })

  test.skipIf(!CAN_MASQUERADE)('what is behind a router gets out, and nothing gets in to it', async () => {
    const [inner, outer] = [await newSwitch(), await newSwitch()]
    const [inside, router, outside] = [
      await newMachine('inside'),
      await newMachine('router'),
      await newMachine('outside')
    ]
    await inside.plug(inner, 2)
    await router.plug(inner, 1)
    const out = await router.plug(outer, 1)
    await outside.plug(outer, 2)
    await inside.routeBy(router.address)
    await outside.routeBy(out.address)
    await router.masquerade(out)
    const server = await outside.startDaemon()
    const client = await inside.startDaemon({ args: ['--bootstrap', server.address] })
    const { id: registry } = await server.client.call('registryCreate', { name: 'far' })
    await client.client.call('registryAdd', { id: registry, peer: server.address, isDefault: true })
    await connected(server, registry)
    await expect(outside.run(process.execPath, '-e', KNOCK, ...whereOf(client))).rejects.toThrow(/no answer/)
    await inside.run(process.execPath, '-e', KNOCK, ...whereOf(server))
    await Promise.all([server.stop(), client.stop()])
  })
})

/** Opens a TCP connection to `HOST PORT` and fails unless somebody answers within a second. */
const KNOCK = `
const socket = require('node:net').connect({ host: process.argv[1], port: Number(process.argv[2]) })
socket.once('connect', () => process.exit(0)).once('error', error => { console.error(error); process.exit(1) })
setTimeout(() => { console.error('no answer'); process.exit(1) }, 1_000)`

function whereOf({ address }: Daemon): readonly [string, string] {
  const [, , host = '', , port = ''] = address.split('/')
  return [host, port]
}
