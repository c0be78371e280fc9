import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { PLANTED_BUGS } from './bugs/bugs.ts'
import { simulate } from './simulate.ts'

/** Within so many seeds a planted bug is found, or it is not. */
const HUNT_SEEDS = 60
const HUNT_MS = 300_000

test('500 seeds break no invariant, and 100 of 100 replay exactly', { timeout: 1_200_000 }, async () => {
  const { code, output } = await run(['test/simulation/run.ts', '--seeds', '500', '--again', '100'])
  process.stdout.write(output)
  expect(output).toContain('500 seeds from 1')
  expect(output).toContain('no invariant broken')
  expect(output).toContain('100 of 100 seeds replay exactly')
  expect(code).toBe(0)
})

test(
  'nine of ten planted bugs are found, each by the invariant that it breaks, and all that are to be found soon',
  { timeout: PLANTED_BUGS.length * HUNT_MS },
  async () => {
    const lines: string[] = []
    let found = 0
    for (const bug of PLANTED_BUGS) {
      const shown = await hunt(bug)
      if (shown !== undefined) found += 1
      if (bug.within !== undefined) expect(shown, bug.parts.name).toBeDefined()
      lines.push(`${bug.parts.name}: ${shown ?? 'not found'}`)
    }
    process.stdout.write(`${lines.join('\n')}\n`)
    expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(10)
    expect(found / PLANTED_BUGS.length).toBeGreaterThanOrEqual(0.9)
  }
)

async function hunt({
  parts,
  shownBy,
  within = HUNT_SEEDS
}: (typeof PLANTED_BUGS)[number]): Promise<string | undefined> {
  for (let seed = 1; seed <= within; seed++) {
    const { violation } = await simulate({ seed, parts })
    if (violation !== undefined && shownBy.includes(violation.invariant)) return `${violation.invariant}, seed ${seed}`
  }
  return undefined
}

function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.once('error', reject)
    child.once('close', code => resolve({ code, output }))
  })
}
