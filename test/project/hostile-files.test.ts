import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { isUntouched, parseState } from '../../node/project-state.ts'
import { Projects } from '../../node/project-store.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { contentIdOf } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

const PACK = '.ggen/packages/tool'

async function project() {
  const folder = await tempDir('hostile-project')
  await mkdir(join(folder, PACK), { recursive: true })
  return { folder, store: new Projects(() => Date.now()).open(folder) }
}

test('links that a repository brings are never written through', async () => {
  const { folder, store } = await project()
  const precious = join(await tempDir('precious'), 'file')
  await writeFile(precious, 'precious')
  for (const name of ['.state.json', '.state.json.new', '.journal.json', '.journal.json.new']) {
    await symlink(precious, join(folder, '.ggen', name))
  }
  await store.remember([], []).catch(() => undefined)
  await store.writeJournal([{ path: PACK, cid: contentIdOf('x') }]).catch(() => undefined)
  await store.finish().catch(() => undefined)
  await store.synced().catch(() => undefined)
  expect(await readFile(precious, 'utf8')).toBe('precious')
})

test('a data folder that is a link is refused before anything is made in it', async () => {
  const folder = await tempDir('hostile-project')
  const elsewhere = await tempDir('elsewhere')
  await symlink(elsewhere, join(folder, '.ggen'))
  const store = new Projects(() => Date.now()).open(folder)
  const work = store.exclusively(() => Promise.resolve('done'), {
    signal: new AbortController().signal,
    onWait: () => {}
  })
  await expect(work).rejects.toMatchObject({ code: 'HOSTILE_PATH' })
})

test('a lockfile that is a device and a project file that is a pipe are refused and not waited for', async () => {
  const { folder, store } = await project()
  await symlink('/dev/zero', join(folder, '.ggen', 'packs.lock'))
  await promisify(execFile)('mkfifo', [join(folder, '.ggen', 'project.toml')])
  await expect(store.readLock()).rejects.toMatchObject({ code: 'UNKNOWN_FILE' })
  await expect(store.readProject()).rejects.toMatchObject({ code: 'UNKNOWN_FILE' })
})

test('a file beyond its bound is refused', async () => {
  const { folder, store } = await project()
  await writeFile(join(folder, '.ggen', 'project.toml'), '#'.repeat(LIMITS.project.fileBytes + 1))
  await expect(store.readProject()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
})

test('a record of nothing, brought along in a repository, vouches for no folder', async () => {
  const { folder } = await project()
  await writeFile(join(folder, PACK, 'evil.sh'), 'evil')
  const records = parseState(
    JSON.stringify({
      format: 1,
      packs: { [PACK]: { cid: contentIdOf('good'), at: Date.now() + 1e9, files: {}, folders: {} } }
    })
  )
  const record = records.get(PACK)
  expect(record).toBeDefined()
  if (record !== undefined) expect(await isUntouched(folder, PACK, record)).toBe(false)
})
