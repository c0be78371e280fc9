import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { OWN_TABLES, parseProjectFile } from '../../node/project-file.ts'
import { outdatedReasons } from '../../node/services/project/outdated.ts'
import { formatLock, parseLock } from '../../node/services/project/lock-format.ts'
import { packPath } from '../../node/services/project/plan.ts'
import { ProjectNames } from '../../node/services/project/wishes.ts'
import { REPOSITORY } from '../support/shared.ts'

const text = await readFile(join(REPOSITORY, 'docs', 'spec', 'lockfile.md'), 'utf8')
const block = (language: string): string => {
  const begin = text.indexOf(`\`\`\`${language}\n`) + language.length + 4
  return text.slice(begin, text.indexOf('```', begin))
}

test('the lockfile of docs/spec/lockfile.md comes back byte for byte', () => {
  expect(formatLock(parseLock(block('json')))).toBe(block('json'))
})

test('its project file asks for what its lockfile has', async () => {
  const lock = parseLock(block('json'))
  const project = parseProjectFile(block('toml'), OWN_TABLES)
  const nobody = {
    all: [],
    find: () => {
      throw new Error('the lockfile says which registry is meant')
    }
  }
  const silent = nobody.find
  const precedence = { all: [], standing: silent, errorOf: silent, nearIn: silent, over: silent, reference: silent }
  const init = { lock, wants: project.wants, asked: new Set<never>(), registries: nobody, precedence }
  const names = await ProjectNames.open({ ...init, acceptMoves: false }, [])
  const asked = {
    wishes: project.wants.map(want => names.wishOf(want)),
    overrides: project.overrides.map(want => names.overrideOf(want))
  }
  const known = { releases: new Map(), bindings: { known: () => undefined } }
  expect(asked.wishes).toHaveLength(1)
  expect(outdatedReasons(lock, asked, known)).toEqual([])
  expect(outdatedReasons(lock, { ...asked, overrides: [] }, known)).toHaveLength(1)
})

test('its packages lie where it says', () => {
  expect([...parseLock(block('json')).packs.values()].map(packPath)).toEqual([
    '.ggen/packages/core-vocabulary',
    '.ggen/packages/invoice-domain'
  ])
})

test('its numbers are those of the limits', () => {
  expect([LIMITS.project.fileBytes, LIMITS.install.lockfileBytes].map(bytes => bytes / 1024 / 1024)).toEqual([1, 16])
  expect(text).toContain(`At most ${LIMITS.project.overrides}.`)
  expect(text).toContain(`${LIMITS.install.packages.toLocaleString('en')} packages`)
})
