import { expect, test } from 'vitest'
import { checkParams } from '../../node/call-params.ts'
import { RegistryError } from '../../protocol/errors.ts'

test.each([
  ['publish', { folder: '/x' }],
  ['publish', { folder: '/x', registry: 'acme' }],
  ['status', {}],
  ['search', { query: '', limit: 0 }],
  ['install', { project: '/p', references: [] }]
] as const)('%s takes %j', (method, params) => {
  expect(() => checkParams(method, params)).not.toThrow()
})

test.each([
  ['publish', { folder: 'relative' }],
  ['publish', { folder: '/x\0y' }],
  ['publish', { folder: 7 }],
  ['publish', {}],
  ['publish', null],
  ['publish', []],
  ['publish', { folder: '/x', registry: 1 }],
  ['search', { query: 'x', limit: -1 }],
  ['search', { query: 'x', limit: 1e300 }],
  ['doctor', { deep: 'yes' }],
  ['install', { project: '/p', references: 'a' }],
  ['backup', { file: 'here', blocks: false, keys: [] }]
] as const)('%s refuses %j', (method, params) => {
  expect(() => checkParams(method, params)).toThrow(RegistryError)
})
