import { beforeAll, expect, test } from 'vitest'
import { somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'

let ann: Somebody

beforeAll(async () => {
  ann = await somebody()
  await ann.node.call('registryCreate', { name: 'acme' })
  await ann.publish({ name: 'lib' })
})

const codeOf = async (call: Promise<unknown>): Promise<string> => (await refusal(call)).code

const edit = (path: string, value: string | true, reference = 'lib') =>
  ann.node.call('edit', { reference, edits: [{ op: 'put', path: path.split('/'), value }] })

test('a tag may only point to a version that was released', async () => {
  expect(await codeOf(edit('tags/next', '9.9.9'))).toBe('UNKNOWN_VERSION')
  expect((await edit('tags/next', '1.0.0')).fact).not.toBeNull()
})

test('words are about a package: not about one version of it, nor about one that is not there', async () => {
  expect(await codeOf(edit('title', 'x', 'lib@1.0.0'))).toBe('INVALID_REFERENCE')
  const { code, next } = await refusal(edit('title', 'x', 'libb'))
  expect([code, next]).toEqual(['UNKNOWN_PACKAGE', 'perhaps you meant lib'])
  await expect(ann.node.call('rollover', { reference: 'libb' })).rejects.toMatchObject({ code: 'UNKNOWN_PACKAGE' })
})

test('a call says edits or whole fields, and fields that there are', async () => {
  const edits = [{ op: 'put', path: ['title'], value: 'x' }] as const
  const whole = [{ field: 'title', entries: [] }]
  const call = (params: object) => codeOf(ann.node.call('edit', { reference: 'lib', edits: [], ...params }))
  expect(await call({ edits, whole })).toBe('USAGE')
  expect(await call({ whole: [{ field: '__proto__', entries: [] }] })).toBe('INVALID_EDIT')
  expect(await call({ edits: [{ op: 'put', path: ['title'], value: null }] })).toBe('INVALID_EDIT')
})

test('a category that the catalogue does not have is said all the same, with a note', async () => {
  await ann.node.call('categoryAdd', { name: 'web' })
  expect((await edit('categories/wev', true)).notes.join()).toMatch(/no category wev: perhaps you meant web/)
  expect((await edit('categories/web', true)).notes).toEqual([])
})

test('a bundle holds packages of its own registry, and only one that is there can be filled', async () => {
  await ann.node.call('registryCreate', { name: 'elsewhere' })
  await ann.node.call('bundleCreate', { name: 'starter', title: 'To begin with' })
  const add = (name: string, member: string) => ann.node.call('bundleAdd', { name, members: [member] })
  expect(await codeOf(add('starter', 'elsewhere:lib'))).toBe('INVALID_REFERENCE')
  expect(await codeOf(add('startr', 'lib'))).toBe('UNKNOWN_ENTRY')
  expect((await add('starter', 'lib@^1')).fact).not.toBeNull()
  const { bundles } = await ann.node.call('bundleList', {})
  expect(bundles).toMatchObject([{ name: 'starter', members: [{ name: 'ggen/lib', range: '^1' }] }])
})
