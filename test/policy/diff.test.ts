import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { diffPolicies } from '../../node/policy-work.ts'
import { person } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

const exception = (name: string, until: string): string =>
  `[[exception]]\nrule = "malware"\npackage = "acme:${name}"\nwho = "ann"\nuntil = ${until}\nreason = "audited"\n`

async function between(before: string, after: string) {
  const folder = await tempDir('policies')
  const write = async (name: string, text: string): Promise<string> => {
    const file = join(folder, name)
    await writeFile(file, `version = 1\n${text}`)
    return file
  }
  return diffPolicies(await write('a.toml', before), await write('b.toml', after))
}

test('names every exception that one of two policies does not make, also where they make as many', async () => {
  const shared = exception('one', '2026-12-31')
  const { exceptions } = await between(
    `preset = "standard"\n${shared}${exception('lib', '2026-12-31')}`,
    `preset = "standard"\n${shared}${exception('lib', '2099-12-31')}`
  )
  expect(exceptions).toMatchObject({
    before: 2,
    after: 2,
    added: [{ name: 'ggen/lib', until: '2099-12-31' }],
    removed: [{ name: 'ggen/lib', until: '2026-12-31' }]
  })
})

test('names the keys whose exceptions hold, what is called stale, and what it is about', async () => {
  const key = person('eve').did
  const diff = await between(
    'preset = "strict"\n',
    `preset = "strict"\nmax-staleness = "3d"\nreach = "all"\nexception-keys = ["${key}"]\n`
  )
  expect(diff).toMatchObject({
    changed: [{ before: { id: 'staleness' }, after: { id: 'staleness' } }],
    exceptionKeys: { added: [key], removed: [] },
    maxStaleHours: { before: 24, after: 72 },
    reach: { before: 'registry', after: 'all' }
  })
})
