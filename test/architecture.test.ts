import { describe, expect, test } from 'vitest'
import * as code from './support/architecture/code-rules.ts'
import * as imports from './support/architecture/import-rules.ts'
import * as repository from './support/architecture/repository-rules.ts'
import { plant, readSourceTree, type SourceTree } from './support/architecture/source-tree.ts'
import { withErrorTable } from './support/error-table.ts'
import { REPOSITORY } from './support/shared.ts'

const tree = await readSourceTree(REPOSITORY)

/** One violation to plant: the files it takes, and what the rule must say of them. */
interface Planted {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
  readonly says: string
}

const lines = (count: number, line: string): string => Array.from({ length: count }, () => line).join('\n')

/** Planting starts from nothing, so that what is wrong with the repository today can't hide what a rule misses. */
const bare: SourceTree = { folders: [], files: new Map(), documents: new Map() }

/** Holds for the repository as it is, and catches each planted violation: a rule that can't fail proves nothing. */
function rule(title: string, check: imports.Rule, planted: readonly Planted[]): void {
  describe(title, () => {
    test('holds', () => {
      expect(check(tree)).toEqual([])
    })
    test.each(planted)('catches $name', ({ files, says }) => {
      expect(check(plant(bare, files)).join('\n')).toContain(says)
    })
  })
}

test('the whole tree is read', () => {
  expect(tree.files.has('protocol/errors.ts')).toBe(true)
  expect(tree.files.has('bin/commands/main.ts')).toBe(true)
  expect(tree.files.has('test/support/architecture/source-tree.ts')).toBe(true)
  expect(tree.files.size).toBeGreaterThan(30)
})

rule('imports follow the table of arrows', imports.importsFollowTheTable, [
  {
    name: 'storage in protocol',
    files: { 'protocol/x.ts': "import '../storage/x.ts'", 'storage/x.ts': '' },
    says: 'protocol/x.ts:1 (protocol) may not import storage/x.ts'
  },
  {
    name: 'a multi-line type-only import',
    files: { 'storage/x.ts': "import type {\n  A\n} from '../attestation/x.ts'", 'attestation/x.ts': '' },
    says: 'storage/x.ts:1 (storage) may not import attestation/x.ts'
  },
  {
    name: 'an inline type import',
    files: { 'node/p2p/x.ts': "export type A = import('../services/x.ts').A", 'node/services/x.ts': '' },
    says: '(node/p2p) may not import node/services/x.ts'
  },
  {
    name: 'a dynamic import',
    files: { 'node/runtime/x.ts': "await import('../../storage/x.ts')", 'storage/x.ts': '' },
    says: '(node/runtime) may not import storage/x.ts'
  },
  {
    name: 'a re-export',
    files: { 'node/services/x.ts': "export * from '../http/x.ts'", 'node/http/x.ts': '' },
    says: '(node/services) may not import node/http/x.ts'
  },
  {
    name: 'a worker by URL',
    files: { 'attestation/x.ts': "new URL('../storage/x.ts', import.meta.url)", 'storage/x.ts': '' },
    says: '(attestation) may not import storage/x.ts'
  },
  {
    name: 'a test in a source',
    files: { 'node/x.ts': "import '../test/x.ts'", 'test/x.ts': '' },
    says: 'may not import test/x.ts'
  },
  {
    name: 'storage in bin',
    files: { 'bin/x.ts': "import '../storage/x.ts'", 'storage/x.ts': '' },
    says: '(bin) may not import storage/x.ts'
  },
  {
    name: 'a value in web',
    files: { 'web/x.ts': "import { a } from '../protocol/errors.ts'", 'protocol/errors.ts': '' },
    says: '(web) may not import protocol/errors.ts'
  },
  {
    name: 'a computed import',
    files: { 'node/x.ts': 'await import(name)' },
    says: 'node/x.ts:1 imports a computed name'
  },
  {
    name: 'a file that is not there',
    files: { 'node/x.ts': "import './nowhere.ts'" },
    says: 'imports node/nowhere.ts'
  },
  {
    name: 'a builtin in protocol',
    files: { 'protocol/x.ts': "import 'node:fs'" },
    says: '(protocol) may not import node:fs'
  },
  {
    name: 'a builtin under its old name',
    files: { 'protocol/x.ts': "import 'path'" },
    says: '(protocol) may not import node:path'
  },
  {
    name: 'files in attestation',
    files: { 'attestation/x.ts': "import 'node:fs'" },
    says: '(attestation) may not import node:fs'
  },
  {
    name: 'sockets in storage',
    files: { 'storage/x.ts': "import 'node:net'" },
    says: '(storage) may not import node:net'
  },
  {
    name: 'libp2p in protocol',
    files: { 'protocol/x.ts': "import type { A } from '@libp2p/interface'" },
    says: 'may not import @libp2p/interface'
  },
  { name: 'libp2p in storage', files: { 'storage/x.ts': "import 'libp2p'" }, says: '(storage) may not import libp2p' },
  {
    name: 'libp2p in attestation',
    files: { 'attestation/x.ts': "import '@libp2p/crypto/keys'" },
    says: 'may not import @libp2p/crypto'
  },
  {
    name: 'libp2p in another file of node',
    files: { 'node/x.ts': "await import('libp2p')" },
    says: '(node) may not import libp2p'
  },
  {
    name: 'Helia in services',
    files: { 'node/services/x.ts': "import 'helia'" },
    says: '(node/services) may not import helia'
  },
  {
    name: 'an unplaced file',
    files: { 'elsewhere/x.ts': "import 'node:fs'" },
    says: 'elsewhere/x.ts:1 lies in no zone'
  }
])

rule('nothing imports itself over a detour', imports.noCycles, [
  {
    name: 'a cycle of three',
    files: { 'node/a.ts': "import './b.ts'", 'node/b.ts': "import './c.ts'", 'node/c.ts': "await import('./a.ts')" },
    says: 'import cycle: node/a.ts -> node/b.ts -> node/c.ts -> node/a.ts'
  },
  {
    name: 'a cycle of types',
    files: { 'node/a.ts': "import type { B } from './b.ts'", 'node/b.ts': "import type { A } from './a.ts'" },
    says: 'import cycle: node/a.ts -> node/b.ts -> node/a.ts'
  }
])

rule('tests that share a process leave nothing there', imports.sharingTestsLeaveNothing, [
  {
    name: 'hooks that are registered once',
    files: { 'test/sync/x.test.ts': "import '../support/x.ts'", 'test/support/x.ts': 'afterAll(() => {})' },
    says: 'test/sync/x.test.ts shares a process and reaches the hooks of test/support/x.ts'
  },
  {
    name: 'another process',
    files: { 'test/sync/x.test.ts': "import './y.ts'", 'test/sync/y.ts': "import 'node:child_process'" },
    says: 'test/sync/x.test.ts shares a process and starts others by test/sync/y.ts'
  },
  {
    name: 'a measure of the whole process',
    files: { 'test/sync/x.test.ts': 'process.cpuUsage()' },
    says: 'test/sync/x.test.ts shares a process and says process.cpuUsage in test/sync/x.test.ts'
  },
  {
    name: 'a variable of the environment',
    files: { 'test/sync/x.test.ts': "process.env['HOME'] = '/'" },
    says: "test/sync/x.test.ts shares a process and says process.env['HOME'] = in test/sync/x.test.ts"
  }
])

rule('nobody imports the index of their own folder', imports.nobodyImportsTheirOwnIndex, [
  {
    name: 'one who does',
    files: { 'node/a.ts': "import './index.ts'", 'node/index.ts': '' },
    says: 'node/a.ts:1 imports the index.ts'
  }
])

const declared = { 'package.json': '{"dependencies":{"level":"1.0.0"},"devDependencies":{"vitest":"1.0.0"}}' }

rule('imported packages are declared', imports.packagesAreDeclared, [
  {
    name: 'a dependency of a dependency',
    files: { 'node/x.ts': "import 'it-all'" },
    says: 'node/x.ts:1 imports it-all'
  },
  {
    name: 'a tool in the product',
    files: { ...declared, 'node/x.ts': "import 'vitest'" },
    says: 'node/x.ts:1 imports vitest'
  }
])

rule('few start programs', imports.fewStartPrograms, [
  {
    name: 'a program',
    files: { 'node/x.ts': "import { spawn } from 'node:child_process'" },
    says: 'node/x.ts:1 may not'
  },
  { name: 'code that was read', files: { 'bin/x.ts': "await import('node:vm')" }, says: 'may not import node:vm' }
])

test('a declared package may be imported', () => {
  const files = { ...declared, 'storage/x.ts': "import 'level'", 'test/x.ts': "import 'vitest'" }
  expect(imports.packagesAreDeclared(plant(bare, files))).toEqual([])
})

test('what the table allows is allowed', () => {
  const files = {
    'node/http/x.ts': "import '../services/x.ts'; import 'node:http'",
    'node/services/x.ts': "import type { A } from '../../attestation/x.ts'",
    'attestation/x.ts': "import 'node:crypto'",
    'web/x.ts': "import type { A } from '../protocol/x.ts'",
    'protocol/x.ts': "import { CID } from 'multiformats/cid'",
    'node/create-node.ts': "import 'libp2p'; import './p2p/x.ts'; import '../storage/x.ts'",
    'node/p2p/x.ts': "import '@libp2p/crypto/keys'",
    'storage/x.ts': "import 'node:fs/promises'",
    'test/x.ts': "import '../storage/x.ts'; import 'libp2p'"
  }
  expect(imports.importsFollowTheTable(plant(bare, files))).toEqual([])
})

rule('files are short', code.filesAreShort, [
  { name: 'line 401', files: { 'node/x.ts': `${lines(401, '// line')}\n` }, says: 'node/x.ts has 401 lines' },
  { name: 'a long test', files: { 'test/x.test.ts': `${lines(500, '')}x()` }, says: 'test/x.test.ts has 500 lines' }
])

rule('functions are short', code.functionsAreShort, [
  {
    name: 'line 71',
    files: { 'node/x.ts': `\nfunction f() {\n${lines(69, 'x()')}\n}` },
    says: 'node/x.ts:2 is a function of 71 lines'
  },
  {
    name: 'an arrow',
    files: { 'node/x.ts': `const f = () => {\n${lines(90, 'x()')}\n}` },
    says: 'a function of 92 lines'
  },
  {
    name: 'a method',
    files: { 'bin/x.ts': `class A {\n m() {\n${lines(90, 'x()')}\n}\n}` },
    says: 'a function of 92 lines'
  }
])

test('comments and blank lines do not count towards the length of a function', () => {
  const text = `function f() {\n${lines(68, 'x()')}\n${lines(60, '  // why')}\n/*\n${lines(60, 'why')}\n*/\n\n}`
  expect(code.functionsAreShort(plant(bare, { 'node/x.ts': text }))).toEqual([])
})

rule('only commands print or exit', code.onlyCommandsPrintOrExit, [
  { name: 'console', files: { 'node/x.ts': 'const x = () => console.log(1)' }, says: 'node/x.ts:1 uses console' },
  { name: 'console in a test', files: { 'test/x.ts': 'console.error(1)' }, says: 'test/x.ts:1 uses console' },
  { name: 'process.exit', files: { 'storage/x.ts': '\nprocess.exit(1)' }, says: 'storage/x.ts:2 ends the process' },
  { name: 'process["exit"]', files: { 'storage/x.ts': 'process["exit"](1)' }, says: 'ends the process' }
])

test('a field that is named console is no print', () => {
  expect(code.onlyCommandsPrintOrExit(plant(bare, { 'node/x.ts': 'const a = { console: 1 }; a.console' }))).toEqual([])
})

rule('only the configuration reads the environment', code.onlyConfigReadsTheEnvironment, [
  {
    name: 'a setting read in passing',
    files: { 'node/p2p/x.ts': "process.env['A']" },
    says: 'node/p2p/x.ts:1 reads the environment'
  }
])

rule('every TODO has a number', code.todosHaveNumbers, [
  {
    name: 'one without',
    files: { 'node/x.ts': `// ${'TO'}DO: later` },
    says: 'node/x.ts:1 has a TODO without a number'
  },
  { name: 'one in a block', files: { 'test/x.ts': `/**\n * ${'FIX'}ME\n */` }, says: 'test/x.ts:1' }
])

test('a TODO with a number is allowed', () => {
  expect(code.todosHaveNumbers(plant(bare, { 'node/x.ts': `// ${'TO'}DO(#12): later` }))).toEqual([])
})

rule('the core is pure', code.theCoreIsPure, [
  { name: 'the clock', files: { 'protocol/x.ts': 'Date.now()' }, says: 'protocol/x.ts:1 reads the clock' },
  { name: 'a bare date', files: { 'attestation/x.ts': 'new Date()' }, says: 'attestation/x.ts:1 reads the clock' },
  { name: 'dice', files: { 'protocol/x.ts': 'Math.random()' }, says: 'rolls dice' },
  { name: 'random bytes', files: { 'protocol/x.ts': 'crypto.getRandomValues(a)' }, says: 'uses crypto' },
  { name: 'a timer', files: { 'protocol/x.ts': 'setTimeout(f, 1)' }, says: 'uses setTimeout' },
  { name: 'a Buffer', files: { 'protocol/x.ts': 'Buffer.from(a)' }, says: 'uses Buffer' },
  { name: 'a global by detour', files: { 'protocol/x.ts': "globalThis['fetch']()" }, says: 'uses globalThis' }
])

test('a date that is given and a field named process are pure', () => {
  const text = 'new Date(0); interface A { process: 1 }; const a = { fetch: 1 }; a.crypto'
  expect(code.theCoreIsPure(plant(bare, { 'protocol/x.ts': text }))).toEqual([])
})

rule('folders at the top are those of the map', repository.topFoldersAreKnown, [
  { name: 'another one', files: { 'utils/x.ts': '' }, says: 'utils/ is no folder of the map' }
])

rule('dependencies are pinned', repository.dependenciesArePinned, [
  { name: 'a range', files: { 'package.json': '{"dependencies":{"level":"^10.0.0"}}' }, says: 'level is "^10.0.0"' },
  { name: 'a tag', files: { 'package.json': '{"devDependencies":{"vitest":"latest"}}' }, says: 'vitest is "latest"' }
])

rule('the lock file names no host', repository.lockFileNamesNoHost, [
  {
    name: 'an address',
    files: { 'package-lock.json': '"resolved": "https://example.org/a.tgz"' },
    says: 'package-lock.json'
  }
])

rule('dependencies are explained', repository.dependenciesAreExplained, [
  {
    name: 'a new one',
    files: { 'package.json': '{"dependencies":{"left-pad":"1.0.0"}}' },
    says: 'does not explain left-pad'
  },
  {
    name: 'one that is gone',
    files: { 'docs/dependencies.md': '| `left-pad` | pads |' },
    says: 'explains left-pad, which is no dependency'
  }
])

const MARKERS = '<!-- errors:begin --><!-- errors:end -->'

test('the error table can be written again', () => {
  const once = withErrorTable(MARKERS)
  expect(repository.errorTableIsCurrent(plant(bare, { 'README.md': once }))).toEqual([])
  expect(withErrorTable(once)).toBe(once)
})

rule('the error table of the README is current', repository.errorTableIsCurrent, [
  {
    name: 'a missing row',
    files: { 'README.md': withErrorTable(MARKERS).replace(/\| `INTERNAL`.*\n/, '') },
    says: 'out of date'
  },
  { name: 'missing markers', files: { 'README.md': '# ggen-node' }, says: 'no error table' }
])

const badInput = (row: string): Planted['files'] => ({
  'test/bad-input.md': `| input | code | file | test |\n|---|---|---|---|\n${row}`,
  'test/x.test.ts': "test.each([1])('refuses %s', f); test.skip('not run', f)"
})

rule('each row of bad-input.md is tested', repository.badInputRowsAreTested, [
  {
    name: 'an unknown code',
    files: badInput('| a | `NO_SUCH` | `test/x.test.ts` | refuses %s |'),
    says: 'NO_SUCH is no error code'
  },
  {
    name: 'an unknown file',
    files: badInput('| a | `MALFORMED` | `test/y.test.ts` | refuses %s |'),
    says: 'test/y.test.ts is no test file'
  },
  {
    name: 'an unknown title',
    files: badInput('| a | `MALFORMED` | `test/x.test.ts` | refuses it |'),
    says: 'has no test "refuses it"'
  },
  {
    name: 'a test that never runs',
    files: badInput('| a | `MALFORMED` | `test/x.test.ts` | not run |'),
    says: 'has no test "not run"'
  },
  { name: 'another layout', files: { 'test/bad-input.md': '| a | b |' }, says: 'no table with the columns' },
  { name: 'an empty table', files: badInput(''), says: 'has no row' }
])

test('a row of bad-input.md that names a test and a code passes', () => {
  const planted = plant(bare, badInput('| a | `MALFORMED` | `test/x.test.ts` | refuses %s |'))
  expect(repository.badInputRowsAreTested(planted)).toEqual([])
})

// The plants above start from this tree, so it must be the real one and not an empty folder read by mistake.
test('the documents the rules compare with are there', () => {
  expect([...tree.documents.keys()].sort()).toEqual([
    'README.md',
    'docs/dependencies.md',
    'package-lock.json',
    'package.json',
    'test/bad-input.md'
  ])
})
