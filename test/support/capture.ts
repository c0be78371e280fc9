import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { parsePcap } from './leak/pcap.ts'
import type { Packet } from './leak/pcap.ts'

import type { Machine } from './netns.ts'
import { tempDir } from './temp-dir.ts'

export type { Packet }

export interface Capture {
  /** Ends it and returns all packets; fails if the kernel had to drop any, for then it proves nothing. */
  stop(): Promise<readonly Packet[]>
}

const running = new Set<() => Promise<void>>()

afterAll(async () => {
  for (const end of running) await end()
})

/**
 * Records what goes through a port of a machine, or all of them (`any`), in both directions, from when this returns. With a
 * filter (pcap-filter(7)), only what passes it: a whole day's bytes are more than need be kept. Needs `tcpdump`.
 */
export async function capture({ prefix }: Machine, device = 'eth0', filter = ''): Promise<Capture> {
  const file = join(await tempDir('capture'), 'packets.pcap')
  const options = ['-n', '-U', '--immediate-mode', '-B', '65536', '-Z', 'root']
  const passes = filter === '' ? [] : [filter]
  const [command = '', ...args] = [...prefix, 'tcpdump', '-i', device, ...options, '-w', file, ...passes]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  const closed = once(child, 'close')
  const end = async (): Promise<void> => {
    running.delete(end)
    child.kill('SIGINT')
    await closed
  }
  const hear = async (pattern: RegExp, from = 0): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(said.slice(from))
      if (found !== null) return found
      await Promise.race([once(child.stderr, 'data'), closed.then(() => Promise.reject(new Error(`tcpdump: ${said}`)))])
    }
  }
  running.add(end)
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  await hear(/listening on/)
  return {
    stop: async () => {
      // What the kernel has seen and tcpdump has not yet read would be lost at its end. The two counts need not be equal
      // (over all interfaces one packet may be seen twice), but when nobody reads any more, nothing more is to come.
      for (let last = -1, read = 0; last < read;) {
        const before = said.length
        child.kill('SIGUSR1')
        const counted = await hear(COUNTS, before)
        if (Number(counted[3]) > 0) throw new Error(`the capture is not whole: ${said}`)
        last = read
        read = Number(counted[1])
        if (last < read) await setTimeout(SETTLE_MS)
      }
      await end()
      return parsePcap(await readFile(file))
    }
  }
}

const SETTLE_MS = 100
const COUNTS = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel/
