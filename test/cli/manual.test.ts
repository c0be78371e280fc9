import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { REPOSITORY } from '../support/shared.ts'
import { tempDir } from '../support/temp-dir.ts'
import { manualShell, matches, parseManual } from '../support/transcript.ts'

const MANUALS = (await readdir(import.meta.dirname)).filter(name => name.endsWith('.md')).toSorted()

describe.concurrent('the manuals do what they say', () => {
  test.each(MANUALS)('%s', { timeout: 300_000 }, async name => {
    const steps = parseManual(await readFile(join(import.meta.dirname, name), 'utf8'))
    expect(steps.length).toBeGreaterThan(0)
    const run = await manualShell(await tempDir('manual'))
    try {
      for (const { command, line, output, exit } of steps) {
        const ran = await run(command)
        const isAsWritten = ran.exit === exit && matches(output, ran.lines)
        if (!isAsWritten) {
          // Shown as a difference between what the manual says and what was printed.
          expect({ at: `${name}:${line}`, command, exit: ran.exit, lines: ran.lines }).toEqual({
            at: `${name}:${line}`,
            command,
            exit,
            lines: output
          })
        }
      }
    } finally {
      await run(
        'for home in "$GGEN_NODE_HOME" *; do [ ! -e "$home/daemon.json" ] || ggen-node --home "$home" stop; done'
      )
    }
  })
})

test('the tour of the README is made of steps of the manuals', async () => {
  const readme = await readFile(join(REPOSITORY, 'README.md'), 'utf8')
  const tour = parseManual(readme.slice(readme.indexOf('<!-- tour:begin -->'), readme.indexOf('<!-- tour:end -->')))
  expect(tour.length).toBeGreaterThan(5)
  const texts = await Promise.all(MANUALS.map(name => readFile(join(import.meta.dirname, name), 'utf8')))
  const steps = texts.flatMap(parseManual).map(({ command, output, exit }) => ({ command, output, exit }))
  for (const { command, output, exit } of tour) expect(steps).toContainEqual({ command, output, exit })
})

test('a transcript matches what it should and nothing else', () => {
  expect(matches(['a [..] c'], ['a b c'])).toBe(true)
  expect(matches(['a [..] c'], ['a b d'])).toBe(false)
  expect(matches(['a', '...', 'z'], ['a', 'b', 'c', 'z'])).toBe(true)
  expect(matches(['a', '...'], ['a'])).toBe(true)
  expect(matches(['a'], ['a', 'b'])).toBe(false)
  expect(parseManual('```sh\n$ x\nout\n[exit 3]\n```\n```json\n$ no\n```')).toEqual([
    { command: 'x', line: 2, output: ['out'], exit: 3 }
  ])
})
