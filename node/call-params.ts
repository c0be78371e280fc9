import { isAbsolute } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import type { ApiMethods, Method } from './services/api.ts'

type Kind = 'edits' | 'flag' | 'list' | 'number' | 'path' | 'text' | 'texts' | 'whole'

/** Of every call that signs. */
const SIGNING = { key: 'text?', out: 'path?' } as const
/** Of every call that may make exceptions from a policy. */
const ALLOW = { allow: 'texts?', until: 'text?', reason: 'text?' } as const
const CATALOGUE = { ...SIGNING, registry: 'text?' } as const
const ABOUT = { ...SIGNING, registry: 'text?', package: 'text?' } as const

/** What each call takes; a `?` marks what may be left away. `path`: absolute, because the daemon has its own folder. */
const PARAMS: {
  readonly [M in Method]: { readonly [P in keyof Required<ApiMethods[M]['params']>]: Kind | `${Kind}?` }
} = {
  status: {},
  peers: {},
  connect: { address: 'text' },
  publish: { folder: 'path', registry: 'text?', allowSimilar: 'flag?', ...SIGNING },
  importFolder: { folder: 'path', registry: 'text?', key: 'text?' },
  install: {
    project: 'path',
    references: 'list',
    force: 'flag?',
    offline: 'flag?',
    dryRun: 'flag?',
    singleSource: 'flag?',
    sync: 'flag?',
    acceptMoves: 'flag?',
    frozen: 'flag?',
    noDeps: 'flag?',
    registry: 'text?',
    ...ALLOW
  },
  update: {
    project: 'path',
    names: 'list',
    force: 'flag?',
    offline: 'flag?',
    dryRun: 'flag?',
    singleSource: 'flag?',
    sync: 'flag?',
    acceptMoves: 'flag?',
    ...ALLOW
  },
  remove: {
    project: 'path',
    names: 'list',
    force: 'flag?',
    offline: 'flag?',
    dryRun: 'flag?',
    singleSource: 'flag?',
    sync: 'flag?',
    acceptMoves: 'flag?'
  },
  outdated: { project: 'path' },
  search: { query: 'text', registry: 'text?', limit: 'number' },
  show: { reference: 'text' },
  yank: { reference: 'text', reason: 'text', ...SIGNING },
  unyank: { reference: 'text', ...SIGNING },
  auditProject: { project: 'path' },
  auditFix: { project: 'path', offline: 'flag?' },
  advisoryAdd: { path: 'path', registry: 'text?', ...SIGNING },
  observe: { what: 'text', key: 'text?' },
  advisoryList: { reference: 'text?', registry: 'text?' },
  quarantine: { reference: 'text', reason: 'text', ...SIGNING },
  unquarantine: { reference: 'text', ...SIGNING },
  takedown: { reference: 'text', reason: 'text', release: 'flag', isDeleted: 'flag' },
  takedownList: {},
  submit: { reference: 'text', registry: 'text?', owners: 'list', threshold: 'number?', note: 'text?' },
  curateList: { registry: 'text?' },
  curateGrant: { names: 'list', registry: 'text?', allowSimilar: 'flag?' },
  curateDeny: { name: 'text', registry: 'text?', reason: 'text' },
  registryAdd: { id: 'text', alias: 'text?', peer: 'text?', isDefault: 'flag', singleSource: 'flag?' },
  registryList: {},
  registryCreate: { name: 'text', alias: 'text?', admission: 'text?', roots: 'texts?', threshold: 'number?' },
  registryShow: { registry: 'text?' },
  registryRemove: { registry: 'text', newDefault: 'text?', purge: 'flag' },
  roleList: { registry: 'text?', package: 'text?' },
  roleGrant: { ...ABOUT, to: 'text', role: 'text', scope: 'text?', expires: 'text?', threshold: 'number?' },
  roleRevoke: {
    ...ABOUT,
    from: 'text',
    role: 'text?',
    scope: 'text?',
    reason: 'text?',
    threshold: 'number?',
    compromised: 'flag',
    keep: 'texts'
  },
  roleRotate: { ...SIGNING, registry: 'text?', from: 'text', to: 'text' },
  transfer: { ...SIGNING, package: 'text', to: 'text' },
  sign: { ...SIGNING, fact: 'text?', file: 'path?', registry: 'text?', dryRun: 'flag' },
  admitFile: { file: 'path' },
  conflictList: { registry: 'text?' },
  resolve: { ...SIGNING, reference: 'text', keep: 'text' },
  resolveFork: { ...SIGNING, fork: 'text', keep: 'text', registry: 'text?' },
  proofExport: { fact: 'text', file: 'path', registry: 'text?' },
  edit: { ...SIGNING, reference: 'text', edits: 'edits', whole: 'whole?' },
  rollover: { ...CATALOGUE, reference: 'text?' },
  document: { reference: 'text' },
  history: { reference: 'text', limit: 'number' },
  bundleCreate: { ...CATALOGUE, name: 'text', title: 'text', minScore: 'number?' },
  bundleAdd: { ...CATALOGUE, name: 'text', members: 'texts' },
  bundleRemove: { ...CATALOGUE, name: 'text', members: 'texts' },
  bundleList: { registry: 'text?', name: 'text?' },
  categoryAdd: { ...CATALOGUE, name: 'text', description: 'text?' },
  categoryRemove: { ...CATALOGUE, name: 'text' },
  categoryList: { registry: 'text?' },
  announce: { ...CATALOGUE, text: 'text' },
  announceRemove: { ...CATALOGUE, id: 'text' },
  announceList: { registry: 'text?' },
  trace: { reference: 'text' },
  policyCheck: { project: 'path' },
  policyExplain: { reference: 'text', project: 'path' },
  policySimulate: { project: 'path', file: 'path' },
  policyPublish: { ...SIGNING, file: 'path?', registry: 'text?' },
  policySuggest: { project: 'path' },
  policyShow: { registry: 'text?' },
  storeStat: {},
  storeGc: { all: 'flag', dryRun: 'flag' },
  storeVerify: {},
  storePin: { what: 'text' },
  storeUnpin: { what: 'text' },
  storePins: {},
  storeQuota: { swarm: 'text', bytes: 'number' },
  mirrorAdd: {
    what: 'text',
    range: 'text?',
    quotaBytes: 'number?',
    factor: 'number?',
    peer: 'text?',
    alias: 'text?'
  },
  mirrorRemove: { what: 'text' },
  mirrorList: {},
  mirrorStatus: { what: 'text?' },
  mirrorExport: { registry: 'text', file: 'path', private: 'flag', since: 'path?' },
  mirrorImport: { file: 'path', id: 'text?', alias: 'text?' },
  swarmCreate: { name: 'text', alias: 'text?', listen: 'texts?', psk: 'flag?', admission: 'text?' },
  swarmList: {},
  invite: {
    ...SIGNING,
    registry: 'text?',
    role: 'text?',
    scope: 'text?',
    expires: 'text?',
    uses: 'number?',
    ci: 'flag?'
  },
  join: { token: 'text', alias: 'text?', listen: 'texts?' },
  members: { registry: 'text?' },
  expel: {
    ...SIGNING,
    member: 'text',
    registry: 'text?',
    reason: 'text?',
    compromised: 'flag',
    rotate: 'flag',
    keep: 'texts?'
  },
  swarmRotate: { registry: 'text?', overlap: 'text?', key: 'text?' },
  swarmLeave: { registry: 'text', purge: 'flag', newDefault: 'text?' },
  gatewayToken: { registry: 'text?', member: 'text?', expires: 'text?', renew: 'flag' },
  attest: {
    ...SIGNING,
    reference: 'text',
    registry: 'text?',
    type: 'text?',
    predicate: 'path?',
    envelope: 'path?',
    signers: 'texts?'
  },
  attestations: { reference: 'text', type: 'text?', out: 'path?' },
  audit: {
    ...SIGNING,
    reference: 'text',
    criteria: 'texts',
    registry: 'text?',
    from: 'text?',
    failed: 'flag',
    notes: 'text?',
    report: 'text?'
  },
  trustAdd: { what: 'text', purpose: 'text' },
  trustRemove: { what: 'text', purpose: 'text' },
  trustList: {},
  publisherClaim: { ...SIGNING, domain: 'text', registry: 'text?' },
  publisherVerify: { what: 'text?' },
  publisherList: { registry: 'text?' },
  verifyRelease: { reference: 'text' },
  verifyEnvelope: { file: 'path', signers: 'texts?' },
  verifyFolder: { folder: 'path' },
  verifyArchive: { file: 'path' },
  sbom: { reference: 'text', format: 'text' },
  waitFor: { registry: 'text', facts: 'number', peers: 'number', kept: 'flag', timeoutMs: 'number' },
  doctor: { deep: 'flag' },
  complete: { kind: 'text', prefix: 'text' },
  backup: { file: 'path', blocks: 'flag', keys: 'list' },
  stop: {}
}

/** Refuses a call whose parameters are not of its kinds, before anything is done. @throws RegistryError USAGE */
export function checkParams(method: Method, params: unknown): void {
  if (typeof params !== 'object' || params === null || Array.isArray(params))
    throw wrong(method, 'an object of parameters')
  const given = params as Readonly<Record<string, unknown>>
  for (const [name, wanted] of Object.entries<string>(PARAMS[method])) {
    const value = given[name]
    if (value === undefined && wanted.endsWith('?')) continue
    if (!isKind(wanted.replace('?', '') as Kind, value))
      throw wrong(method, `${name}: ${WORDS[wanted.replace('?', '') as Kind]}`)
  }
}

const WORDS: Readonly<Record<Kind, string>> = {
  edits: 'a list of edits',
  flag: 'true or false',
  list: 'a list',
  number: 'a whole number from 0',
  path: 'an absolute path',
  text: 'a text',
  texts: 'a list of texts',
  whole: 'a list of fields with their entries'
}

function isKind(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case 'edits':
      return isList(value, isEdit)
    case 'flag':
      return typeof value === 'boolean'
    case 'list':
      return Array.isArray(value)
    case 'number':
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    case 'path':
      return typeof value === 'string' && isAbsolute(value) && !value.includes('\0')
    case 'text':
      return typeof value === 'string'
    case 'texts':
      return isTexts(value)
    case 'whole':
      return isList(value, ({ field, entries }) => typeof field === 'string' && isList(entries, isEntry))
  }
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(entry => typeof entry === 'string')
}

type Fields = Readonly<Record<string, unknown>>

function isList(value: unknown, isGood: (entry: Fields) => boolean): boolean {
  return Array.isArray(value) && value.every(entry => typeof entry === 'object' && entry !== null && isGood(entry))
}

/** What the path and the value mean is said by the grammar of edits, not here. */
function isEntry({ path, value }: Fields): boolean {
  return isTexts(path) && (typeof value === 'string' || value === true)
}

function isEdit({ op, path, value }: Fields): boolean {
  return op === 'put' ? isEntry({ path, value }) : op === 'delete' && isTexts(path) && value === null
}

function wrong(method: Method, wanted: string): RegistryError {
  return new RegistryError('USAGE', `the call ${method} takes ${wanted}`)
}
