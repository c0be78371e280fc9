import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { REPOSITORY } from '../support/shared.ts'
import { explanationIn } from './support.ts'
import type { Registry } from './support.ts'

const spec = await readFile(join(REPOSITORY, 'docs', 'spec', 'resolution.md'), 'utf8')

function block(name: string): string {
  const found = new RegExp(`^\`\`\`${name}\n([^]*?)^\`\`\`$`, 'm').exec(spec)?.[1]
  if (found === undefined) throw new Error(`the document has no block ${name}`)
  return found
}

test('the example of the specification is what the solver says', () => {
  const registry = JSON.parse(block('json registry')) as Registry
  expect(explanationIn(registry, ['app']).join('\n')).toBe(block('text explanation').trim())
})

test.each([
  LIMITS.solver.steps,
  LIMITS.solver.stepsPerTurn,
  LIMITS.solver.packages,
  LIMITS.solver.versionsPerPackage,
  LIMITS.solver.optionalTries,
  LIMITS.solver.lines,
  LIMITS.install.packages
])('the specification names the bound %i', bound => {
  expect(spec).toMatch(new RegExp(`\\b${bound.toLocaleString('en-US')}\\b`))
})
