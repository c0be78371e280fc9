import { expect, test } from 'vitest'
import { ProgressLine } from '../../bin/commands/progress.ts'
import { drawTree, fit, gutter } from '../../bin/commands/style.ts'

function output({ isTTY = true, columns = 80 } = {}) {
  const written: string[] = []
  const clock = { ms: 0 }
  return {
    written,
    clock,
    out: { isTTY, columns, write: (text: string) => void written.push(text), now: () => clock.ms }
  }
}

test('what takes less than half a second shows no progress', () => {
  const { written, clock, out } = output()
  const line = new ProgressLine({ json: false }, out)
  clock.ms = 499
  line.onProgress({ text: 'fetching' })
  line.end()
  expect(written).toEqual([])
})

test('a terminal gets one line that is redrawn twice a second, with bytes, rate and who sends, and cleared at the end', () => {
  const { written, clock, out } = output({ columns: 120 })
  const line = new ProgressLine({ json: false }, out)
  clock.ms = 1000
  const MiB = 1024 * 1024
  const from = { name: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN', relayed: true, others: 2 }
  const coming = { bytes: 12.3 * MiB, total: 40 * MiB, bytesPerSecond: 8.1 * MiB, peers: 3, from }
  line.onProgress({ text: 'fetching acme:x@1.2.0', done: 0, of: 1, ...coming })
  clock.ms = 1499
  line.onProgress({ text: 'too soon: no more than two a second' })
  clock.ms = 1500
  const alone = { ...from, relayed: false, others: 0 }
  line.onProgress({ text: 'fetching x@1.2.0 and 2 more', done: 1, of: 3, ...coming, bytes: 2048, from: alone })
  clock.ms = 2000
  line.onProgress({ text: 'verifying public', done: 1, of: 256 })
  line.end()
  expect(written).toEqual([
    '\r\u001b[Kfetching acme:x@1.2.0: 12.3 of 40.0 MiB, 8.1 MiB/s from 12D3…4kx6nXTN (relay) and 2 others',
    '\r\u001b[Kfetching x@1.2.0 and 2 more  1/3: 2.0 KiB of 40.0 MiB, 8.1 MiB/s from 12D3…4kx6nXTN',
    '\r\u001b[Kverifying public  1/256',
    '\r\u001b[K'
  ])
})

test('where a name leaves no room for who sends and how fast, the name is cut', () => {
  const { written, clock, out } = output({ columns: 80 })
  const line = new ProgressLine({ json: false }, out)
  clock.ms = 1000
  const from = { name: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN', relayed: false, others: 1 }
  const coming = { bytes: 0, total: 2 ** 20, bytesPerSecond: 2048, peers: 2, from }
  line.onProgress({ text: `fetching acme:${'long-name-'.repeat(6)}@1.2.0`, ...coming })
  const shown = written[0]?.replace('\r\u001b[K', '') ?? ''
  expect(shown).toBe('fetching acme:long-n…: 0 B of 1.0 MiB, 2.0 KiB/s from 12D3…4kx6nXTN and 1 other')
  expect(shown.length).toBeLessThan(80)
})

test('a narrow terminal gets no line that wraps', () => {
  const { written, clock, out } = output({ columns: 10 })
  const line = new ProgressLine({ json: false }, out)
  clock.ms = 1000
  line.onProgress({ text: 'a very long text' })
  expect(written[0]?.replace('\r\u001b[K', '').length).toBe(9)
})

test('a log file gets whole lines, few of them, and no control characters', () => {
  const { written, clock, out } = output({ isTTY: false })
  const line = new ProgressLine({ json: false }, out)
  for (clock.ms = 600; clock.ms < 12_000; clock.ms += 100) line.onProgress({ text: 'fetching\u001b[2J' })
  line.end()
  expect(written).toEqual(['fetching\n', 'fetching\n', 'fetching\n'])
})

test('with --json there is no progress', () => {
  const { written, clock, out } = output()
  const line = new ProgressLine({ json: true }, out)
  clock.ms = 5000
  line.onProgress({ text: 'fetching' })
  line.end()
  expect(written).toEqual([])
})

test('verbs end at one column', () => {
  const lines = [gutter('Installed', 'a'), gutter('Kept', 'b', 'same')]
  expect(lines.map(line => line.indexOf(line.trimStart()[0] === 'I' ? ' a' : ' b'))).toEqual([12, 12])
})

test('a tree is drawn with branches', () => {
  const tree = [
    { label: 'a', children: [{ label: 'b', children: [] }] },
    { label: 'c', children: [] }
  ]
  expect(drawTree(tree)).toEqual(['├── a', '│   └── b', '└── c'])
})

test('a text is cut for a terminal and whole for a pipe', () => {
  expect(fit('abcdef', { isTTY: true, columns: 4 })).toBe('abc…')
  expect(fit('abcdef', { isTTY: false })).toBe('abcdef')
})
