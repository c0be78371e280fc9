import { expect, test } from 'vitest'
import { checkParams } from '../../node/call-params.ts'
import { RegistryError } from '../../protocol/errors.ts'

test.each([
  ['publish', { folder: '/x' }],
  ['publish', { folder: '/x', registry: 'acme' }],
  ['status', {}],
  ['search', { query: '', limit: 0 }],
  ['install', { project: '/p', references: [] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: ['title'], value: 'T' }] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: ['keywords', 'x'], value: true }], out: '/x' }],
  ['edit', { reference: 'a', edits: [{ op: 'delete', path: [], value: null }] }],
  ['edit', { reference: 'a', edits: [], whole: [{ field: 'title', entries: [{ path: ['title'], value: 'T' }] }] }],
  ['bundleAdd', { name: 'starter', members: [] }],
  ['bundleCreate', { name: 'starter', title: 'T', minScore: 0 }],
  ['swarmCreate', { name: 'acme', listen: ['/ip4/127.0.0.1/tcp/0'], psk: true }],
  ['invite', {}],
  ['invite', { registry: 'acme', role: 'member', uses: 3, ci: false, out: '/x' }],
  ['join', { token: 'ggen1x' }],
  ['expel', { member: 'did:key:z6Mk', compromised: false, rotate: true }],
  ['expel', { member: 'did:key:z6Mk', compromised: false, rotate: true, keep: ['did:key:z6Mk'] }],
  ['swarmRotate', { overlap: '12h' }],
  ['swarmLeave', { registry: 'acme', purge: false }]
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
  ['backup', { file: 'here', blocks: false, keys: [] }],
  ['edit', { reference: 'a' }],
  ['edit', { reference: 'a', edits: [null] }],
  ['edit', { reference: 'a', edits: ['title'] }],
  ['edit', { reference: 'a', edits: [{ op: 'move', path: ['title'], value: null }] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: 'title', value: 'T' }] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: ['title', 1], value: 'T' }] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: ['title'], value: null }] }],
  ['edit', { reference: 'a', edits: [{ op: 'put', path: ['title'], value: false }] }],
  ['edit', { reference: 'a', edits: [{ op: 'delete', path: ['title'], value: 'T' }] }],
  ['edit', { reference: 'a', edits: [], whole: [{ field: 'title' }] }],
  ['edit', { reference: 'a', edits: [], whole: [{ field: 1, entries: [] }] }],
  ['edit', { reference: 'a', edits: [], whole: [{ field: 'title', entries: [{ path: ['title'], value: null }] }] }],
  ['edit', { reference: 'a', edits: [], whole: { field: 'title', entries: [] } }],
  ['bundleAdd', { name: 'starter', members: [1] }],
  ['history', { reference: 'a', limit: -1 }],
  ['swarmCreate', {}],
  ['swarmCreate', { name: 'acme', listen: '/ip4/127.0.0.1/tcp/0' }],
  ['swarmCreate', { name: 'acme', psk: 'yes' }],
  ['invite', { uses: -1 }],
  ['invite', { uses: 1.5 }],
  ['invite', { out: 'here' }],
  ['join', {}],
  ['join', { token: ['ggen1x'] }],
  ['join', { token: 'ggen1x', listen: 1 }],
  ['members', { registry: 1 }],
  ['expel', { member: 'did:key:z6Mk', compromised: false }],
  ['expel', { compromised: false, rotate: false }],
  ['swarmRotate', { overlap: 12 }],
  ['swarmLeave', { registry: 'acme' }]
] as const)('%s refuses %j', (method, params) => {
  expect(() => checkParams(method, params)).toThrow(RegistryError)
})
