import { describe, expect, test } from 'vitest'
import { rollDeclarations } from '../../bin/build/declarations.ts'
import { codeOfAsync } from '../support/error-code.ts'

const roll = (files: Readonly<Record<string, string>>): Promise<string> =>
  rollDeclarations('lib/index.d.ts', async path => {
    const text = files[path]
    if (text === undefined) throw new Error(`${path} was read`)
    return text
  })

describe('the rolled-up declarations', () => {
  test('hold what the entry exports and what that refers to, with its comments, and nothing else', async () => {
    const text = await roll({
      'lib/index.d.ts': "export type { A } from './a.ts';\nexport { run } from '../run.ts';\n",
      'lib/a.d.ts':
        "import type { B } from '../b.ts';\n/** An A. */\nexport interface A {\n    readonly b: B;\n}\nexport interface Unused {}\n",
      'b.d.ts': 'declare const brand: unique symbol;\nexport type B = string & { readonly [brand]: 1 };\n',
      'run.d.ts':
        '/** Runs. */\nexport declare function run(): Promise<void>;\nexport declare function run(n: number): Promise<void>;\n'
    })
    expect(text).toBe(`/// <reference lib="esnext.disposable" />

/** An A. */
interface A {
    readonly b: B;
}

type B = string & { readonly [brand]: 1 };

declare const brand: unique symbol;

/** Runs. */
declare function run(): Promise<void>;
declare function run(n: number): Promise<void>;

export { type A, run }
`)
  })

  test('never let a type of ours take the name of a global that another one uses', async () => {
    const text = await roll({
      'lib/index.d.ts': "export type { A } from './a.ts';\nexport type { Mine } from './mine.ts';\n",
      'lib/a.d.ts': "export type A = Pick<{ x: 1 }, 'x'>;\n",
      'lib/mine.d.ts':
        "import type { Pick as Chosen } from './pick.ts';\nexport interface Mine {\n    readonly pick: Chosen;\n}\n",
      'lib/pick.d.ts': 'export interface Pick {\n    readonly again: Pick;\n}\n'
    })
    expect(text).toContain("type A = Pick<{ x: 1 }, 'x'>")
    expect(text).toContain('interface Pick_2 {\n    readonly again: Pick_2;\n}')
    expect(text).toContain('interface Mine {\n    readonly pick: Pick_2;\n}')
  })

  test('tell apart two modules that call different things the same', async () => {
    const text = await roll({
      'lib/index.d.ts': "export type { Same } from './a.ts';\nexport type { Same as Other } from './b.ts';\n",
      'lib/a.d.ts': 'export type Same = 1;\n',
      'lib/b.d.ts': 'export type Same = 2;\n'
    })
    const [, a] = /type (\w+) = 1/.exec(text) ?? []
    const [, b] = /type (\w+) = 2/.exec(text) ?? []
    const name = (local: string | undefined, exported: string) =>
      local === exported ? exported : `${local} as ${exported}`
    expect(text).toContain(`export { type ${name(a, 'Same')}, type ${name(b, 'Other')} }`)
    expect(a).not.toBe(b)
  })

  test('leave fields alone that are called like a type that was renamed', async () => {
    const text = await roll({
      'lib/index.d.ts': "export type { A } from './a.ts';\n",
      'lib/a.d.ts':
        "import type { Record as Row } from './row.ts';\nexport type A = { Row: Row; all: Record<string, 1> };\n",
      'lib/row.d.ts': 'export type Record = 1;\n'
    })
    expect(text).toContain('type A = { Row: Record_2; all: Record<string, 1> };')
  })

  test.each([
    ['a package', "import type { PeerId } from '@libp2p/interface';\nexport type A = PeerId;\n"],
    ['a builtin', "import type { Server } from 'node:http';\nexport interface A extends Server {}\n"],
    ['an import inside a type', "export type A = import('../b.ts').B;\n"],
    ['a namespace', 'export declare namespace A { const x: 1 }\n'],
    ['a name that is not there', "import type { B } from './index.ts';\nexport type A = B;\n"]
  ])('refuse %s', async (_, a) => {
    const files = { 'lib/index.d.ts': "export type { A } from './a.ts';\n", 'lib/a.d.ts': a }
    expect(await codeOfAsync(() => roll(files))).toBe('INTERNAL')
  })

  test('forget an import that nothing public needs', async () => {
    const text = await roll({
      'lib/index.d.ts': "export type { A } from './a.ts';\n",
      'lib/a.d.ts': "import type { PeerId } from '@libp2p/interface';\nexport type A = 1;\nexport type B = PeerId;\n"
    })
    expect(text).not.toContain('PeerId')
  })
})
