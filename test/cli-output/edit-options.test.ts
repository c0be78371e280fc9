import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { addDocumentVerbs } from '../../bin/commands/document-verbs.ts'
import { editArgv } from '../../bin/commands/edit-argv.ts'
import { ordersOf } from '../../bin/commands/edit-orders.ts'
import type { EditOrder } from '../../node/services/documents/methods.ts'
import { isRegistryError } from '../../protocol/errors.ts'

const ANN = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'

interface Parsed {
  readonly args: readonly string[]
  readonly orders: readonly EditOrder[]
  readonly globals: Readonly<Record<string, unknown>>
}

/** What a command line of `edit` means, as the program reads it. */
function parse(words: readonly string[]): Parsed {
  const program = new Command('ggen-node')
    .version('1', '-V, --version')
    .option('--home <folder>')
    .option('--json')
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
  addDocumentVerbs(program)
  let parsed: Parsed | undefined
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} })
  const edit = program.commands.find(command => command.name() === 'edit')
  edit?.action(() => {
    parsed = { args: edit.args, orders: ordersOf(edit.opts()), globals: program.opts() }
  })
  program.parse([...editArgv(['node', 'ggen-node', ...words])])
  if (parsed === undefined) throw new Error('edit did not run')
  return parsed
}

const put = (path: readonly string[], value: string | true): EditOrder => ({ op: 'put', path, value })
const gone = (...path: readonly string[]): EditOrder => ({ op: 'delete', path, value: null })

/** The code of what a command line throws, and what it says to do. */
function fault(words: readonly string[]): readonly [string, string] {
  try {
    parse(words)
  } catch (error) {
    if (isRegistryError(error)) return [error.code, error.next ?? '']
    return [error instanceof Error && 'code' in error ? String(error.code) : 'none', '']
  }
  return ['none', '']
}

describe('the options of edit', () => {
  test.each<[readonly string[], readonly EditOrder[]]>([
    [['--title', 'T'], [put(['title'], 'T')]],
    [['--title=T=U'], [put(['title'], 'T=U')]],
    [['--title', ''], [gone('title')]],
    [['--title', '-Verbose'], [put(['title'], '-Verbose')]],
    [['--description', 'two\nlines'], [put(['description'], 'two\nlines')]],
    [['--description', ''], [gone('description')]],
    [
      ['--keyword', '+x', '-y'],
      [put(['keywords', 'x'], true), gone('keywords', 'y')]
    ],
    [
      ['--keyword', '-y', '+x'],
      [gone('keywords', 'y'), put(['keywords', 'x'], true)]
    ],
    [
      ['--keyword', '-V', '-h'],
      [gone('keywords', 'V'), gone('keywords', 'h')]
    ],
    [
      ['--keyword', '+two words', '+c++'],
      [put(['keywords', 'two words'], true), put(['keywords', 'c++'], true)]
    ],
    [
      ['--keyword=+x', '-y'],
      [put(['keywords', 'x'], true), gone('keywords', 'y')]
    ],
    [
      ['--keyword', '+x', '--keyword', '-y'],
      [put(['keywords', 'x'], true), gone('keywords', 'y')]
    ],
    [['--keyword', '+x', '+x'], [put(['keywords', 'x'], true)]],
    [
      ['--category', '+a', '-b'],
      [put(['categories', 'a'], true), gone('categories', 'b')]
    ],
    [
      ['--keyword', '+x', '--category', '+x'],
      [put(['keywords', 'x'], true), put(['categories', 'x'], true)]
    ],
    [['--link', 'homepage=https://a.org/?q=1'], [put(['links', 'homepage'], 'https://a.org/?q=1')]],
    [
      ['--link', 'a=https://a.org', '--link', '-b'],
      [put(['links', 'a'], 'https://a.org'), gone('links', 'b')]
    ],
    [['--tag', 'next=2.0.0-rc.1'], [put(['tags', 'next'], '2.0.0-rc.1')]],
    [['--tag', '-next'], [gone('tags', 'next')]],
    [['--deprecate', '<2', 'use 2.x'], [put(['deprecated', '<2'], 'use 2.x')]],
    [['--deprecate', '<2', '-no'], [put(['deprecated', '<2'], '-no')]],
    [
      ['--deprecate', '<2', 'a', '--deprecate', '>=3 <4', 'b'],
      [put(['deprecated', '<2'], 'a'), put(['deprecated', '>=3 <4'], 'b')]
    ],
    [
      ['--undeprecate', '<2', '--undeprecate', '<3'],
      [gone('deprecated', '<2'), gone('deprecated', '<3')]
    ],
    [['--maintainer', `${ANN}=Ann = me`], [put(['maintainers', ANN], 'Ann = me')]],
    [['--maintainer', `-${ANN}`], [gone('maintainers', ANN)]]
  ])('%j', (words, orders) => {
    // Before and behind the package, and with options of the program around.
    expect(parse(['edit', 'lib', ...words])).toMatchObject({ args: ['lib'], orders })
    expect(parse(['--home', 'edit', '--json', 'edit', ...words, 'lib'])).toEqual({
      args: ['lib'],
      orders,
      globals: { home: 'edit', json: true }
    })
    expect(parse(['edit', 'lib', ...words, '--json'])).toMatchObject({ args: ['lib'], orders, globals: { json: true } })
  })

  test('all of them at once keep their order', () => {
    const words = ['--title', 'T', '--keyword', '+x', '-y', '--link', 'a=https://a.org', '--tag', '-next', 'lib']
    expect(parse(['edit', ...words]).orders).toEqual([
      put(['title'], 'T'),
      put(['keywords', 'x'], true),
      gone('keywords', 'y'),
      put(['links', 'a'], 'https://a.org'),
      gone('tags', 'next')
    ])
  })

  test.each<[readonly string[], string]>([
    [['--keyword', 'web'], '--keyword +WORD'],
    [['--keyword', '+x', '--keyword', ''], '--keyword +WORD'],
    [['--keyword', '+'], '--keyword +WORD'],
    [['--keyword', '-'], '--keyword +WORD'],
    [['--keyword', '--title', 'T'], '--keyword +WORD'],
    [['--category', 'web'], '--category +NAME'],
    [['--link', 'homepage'], '--link NAME=URL'],
    [['--link', 'homepage='], '--link NAME=URL'],
    [['--link', '=https://a.org'], '--link NAME=URL'],
    [['--link', '-homepage=https://a.org'], '--link NAME=URL'],
    [['--link', '-'], '--link NAME=URL'],
    [['--tag', 'next'], '--tag NAME=VERSION'],
    [['--deprecate', '<2', '--title', 'T'], "--deprecate 'RANGE' 'TEXT'"],
    [['--deprecate', '<2', '--deprecate', '<1', 'x'], "--deprecate 'RANGE' 'TEXT'"],
    [['--deprecate', '<2', ''], "--deprecate 'RANGE' 'TEXT'"],
    [['--deprecate', '', 'x'], "--deprecate 'RANGE' 'TEXT'"],
    [['--maintainer', ANN], '--maintainer did:key:'],
    [['--keyword', '+x', '-x'], 'say one of them'],
    [['--tag', 'next=1.0.0', '--tag', 'next=2.0.0'], 'say one of them'],
    [['--deprecate', '<2', 'x', '--undeprecate', '<2'], 'say one of them']
  ])('edits of a wrong shape are refused with what is allowed: %j', (words, next) => {
    const [code, allowed] = fault(['edit', 'lib', ...words])
    expect(code).toBe('INVALID_EDIT')
    expect(allowed).toContain(next)
  })

  test.each([
    [['--title']],
    [['--keyword', '+x', '--unknown']],
    [['--deprecate']],
    [['--keyword', '+x', 'more']],
    [['--', '--title', 'T']]
  ])('what the program cannot read is its own kind of error: %j', words => {
    expect(fault(['edit', 'lib', ...words])[0]).toMatch(/^commander\./)
  })

  test('other commands and what stands behind -- are left alone', () => {
    for (const words of [['yank', 'x', '--keyword', '+x', '-y'], ['--home'], [], ['--json'], ['help', 'edit']]) {
      expect(editArgv(['node', 'g', ...words])).toEqual(['node', 'g', ...words])
    }
    expect(editArgv(['node', 'g', 'edit', '--', '--keyword', '+x'])).toEqual([
      'node',
      'g',
      'edit',
      '--',
      '--keyword',
      '+x'
    ])
  })
})
