import { writeFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { afterEach, expect, test } from 'vitest'
import { recordingNoise } from '../support/leak/recording-noise.ts'
import { openRecording, readRecording } from '../support/leak/recording.ts'
import { joined, sift } from '../support/leak/sift.ts'
import { tempDir } from '../support/temp-dir.ts'

const hosts: Libp2p[] = []

afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop()
})

async function host(encrypter: ReturnType<typeof noise>, agent: string): Promise<Libp2p> {
  const made = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    nodeInfo: { userAgent: agent },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: { identify: identify() }
  })
  hosts.push(made)
  return made
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

test('records are read back as they were written, without one that is half there', async () => {
  const path = join(await tempDir('recording'), 'a')
  const recording = openRecording(path)
  recording.write('tcp one', Buffer.from('first'))
  recording.write('tcp two', new Uint8Array())
  recording.write('tcp one', Buffer.from('second'))
  recording.close()
  const read = async () => (await readRecording(path)).map(({ channel, bytes }) => [channel, text(bytes)])
  expect(await read()).toEqual([
    ['tcp one', 'first'],
    ['tcp two', ''],
    ['tcp one', 'second']
  ])
  await writeFile(path, (await readFile(path)).subarray(0, -1))
  expect(await read()).toHaveLength(2)
})

test('whatever is sent to a witness is in its recording: both ways to connect, each stream by itself and under its name', async () => {
  const path = join(await tempDir('recording'), 'a')
  const recording = openRecording(path)
  const witness = await host(recordingNoise(recording), 'the witness')
  const other = await host(noise(), 'the other side')
  const caller = await host(noise(), 'the caller')
  // Longer than a frame may be, so that it is cut in pieces by the muxer.
  const long = `${'x'.repeat(300_000)} the end of it`
  await other.handle('/long/1', stream => void stream.send(Buffer.from(long)))
  const received = Promise.withResolvers<undefined>()
  let bytes = 0
  const stream = await (await witness.dial(other.getMultiaddrs())).newStream('/long/1')
  stream.addEventListener('message', ({ data }) => {
    bytes += data.byteLength
    if (bytes === long.length) received.resolve(undefined)
  })
  await received.promise

  await witness.handle('/unread/1', () => {})
  const told = await (await caller.dial(witness.getMultiaddrs())).newStream('/unread/1')
  told.send(Buffer.from('said to nobody'))
  await expect.poll(async () => (await readFile(path)).includes('said to nobody')).toBe(true)
  for (const each of hosts.splice(0)) await each.stop()
  recording.close()

  const strands = sift(await readRecording(path))
  const named = (name: RegExp) => strands.filter(strand => name.test(strand.name)).map(strand => text(joined(strand)))
  expect(named(/outbound \S+ #\d+ \/long\/1$/).map(each => each.endsWith(long))).toEqual([true])
  expect(named(/inbound \S+ #\d+ \/unread\/1$/).join()).toContain('said to nobody')
  expect(named(/\/ipfs\/id\/1\.0\.0$/).join()).toContain('the other side')
  // Channels as a whole have everything too, with the frames in between.
  const whole = strands.filter(({ stream: number }) => number === null).map(strand => text(joined(strand)))
  expect(whole).toHaveLength(2)
  expect(whole.join()).toContain('said to nobody')
  expect(whole.join()).not.toContain(long)
})

test('what is no yamux is an error, and not nothing', () => {
  const channel = 'muxed 1'
  expect(() => sift([{ at: 0, channel, bytes: Buffer.from('GET / HTTP/1.1\r\n') }])).toThrow(/no yamux frames/)
})
