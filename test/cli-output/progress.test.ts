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

test('a terminal gets one line that is redrawn, with count, bytes, rate and peers, and cleared at the end', () => {
  const { written, clock, out } = output()
  const line = new ProgressLine({ json: false }, out)
  clock.ms = 1000
  line.onProgress({ text: 'fetching', done: 1, of: 3, bytes: 2048, peers: 2 })
  clock.ms = 1050
  line.onProgress({ text: 'too soon' })
  line.end()
  expect(written).toEqual(['\r\u001b[Kfetching  1/3  2.0 KiB at 2.0 KiB/s  from 2 peers', '\r\u001b[K'])
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
