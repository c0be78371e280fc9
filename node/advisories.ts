import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { AdvisoryView } from '../protocol/advisory/fold.ts'
import { isAffected, lowestFixed, unordered } from '../protocol/advisory/match.ts'
import { parseOsv, parseOsvJson, readOsv } from '../protocol/advisory/osv.ts'
import type { OsvRange, OsvRecord } from '../protocol/advisory/osv.ts'
import { fieldOf } from '../protocol/attest/predicate-fields.ts'
import { isJsonObject } from '../protocol/attest/strict-json.ts'
import { equalBytes, utf8 } from '../protocol/bytes.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { ecosystemOf } from '../protocol/package-name.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { ADVISING_ROLES } from '../protocol/role.ts'
import { orderingOf } from '../protocol/version.ts'
import { isAdvisory } from '../protocol/advisory/fold.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { filing } from './authority-api.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import { namedKeys } from './named-keys.ts'
import { affectedIn, isHeard, isMalware } from './services/advisory/heard.ts'
import type { Heard } from './services/advisory/heard.ts'
import type { AddedAdvisory, AdvisoryMethods, ShownAdvisory } from './services/advisory/methods.ts'
import type { Api } from './services/api.ts'
import { placeOf } from './services/authority/place.ts'
import { holdingOf } from './services/authority/powers.ts'
import { trusted } from './trust.ts'

/** The calls about known problems. */
export function advisoryApi(parts: NodeParts): Pick<Api, 'advisoryAdd' | 'advisoryList'> {
  return { advisoryAdd: params => add(parts, params), advisoryList: params => list(parts, params) }
}

/** Whose word on known problems is taken. */
export async function heardHere(parts: Pick<NodeParts, 'registries' | 'trust'>): Promise<Heard> {
  const whos = (await trusted(parts)).filter(({ purpose }) => purpose === 'advisories').map(({ who }) => who)
  return {
    registries: new Set(whos.filter(who => !who.startsWith('did:'))),
    keys: new Set(whos.filter(who => who.startsWith('did:')))
  }
}

interface ReadRecord {
  readonly record: Uint8Array
  readonly osv: OsvRecord
}

async function add(
  parts: NodeParts,
  { path, registry: which, key, out }: AdvisoryMethods['advisoryAdd']['params']
): Promise<AdvisoryMethods['advisoryAdd']['result']> {
  const records = await readRecords(parts, path)
  const { id: registry, alias } = placeToSpeak(parts, which)
  for (const { osv } of records) await assertStaysPrivate(parts, registry, osv)
  const added: AddedAdvisory[] = []
  const { file } = await filing(parts, out, async () => {
    for (const one of records) added.push(...(await say(parts, one, { registry, key })))
    const facts = added.map(({ fact, name }) => ({ id: fact, subject: name }))
    return facts.length === 0 ? undefined : { registry, facts }
  })
  const foreign = records.filter(({ osv }) => osv.affected.length === 0).map(({ osv }) => osv.id)
  if (added.length > 0) return { registry, alias, advisories: added, foreign, file }
  throw new RegistryError('MALFORMED', 'no record is about anything that can be a package here', {
    tried: [`read ${foreign.slice(0, 8).join(', ')}`],
    next: 'an OSV record names packages of ggen, npm, crates.io, PyPI, Go or Maven in affected[].package'
  })
}

async function readRecords({ authority }: NodeParts, path: string): Promise<readonly ReadRecord[]> {
  const records: ReadRecord[] = []
  for (const file of await filesIn(path)) {
    const bytes = await authority.files.read(file, LIMITS.advisory.fileBytes)
    try {
      records.push(compact(bytes))
    } catch (cause) {
      if (!isRegistryError(cause)) throw cause
      throw new RegistryError(cause.code, `${file}: ${cause.message}`, {
        cause,
        next: 'docs/spec/advisory.md says what of the OSV schema is read'
      })
    }
  }
  return records
}

async function filesIn(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${path} does not exist`, { cause })
  })
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter(name => name.endsWith('.json')).toSorted()
  if (names.length === 0) throw new RegistryError('UNKNOWN_FILE', `${path} has no file that ends in .json`)
  if (names.length > LIMITS.advisory.files)
    throw new RegistryError('LIMIT_EXCEEDED', `${path} has more than ${LIMITS.advisory.files} records`)
  return names.map(name => join(path, name))
}

/** A record as it goes into a fact: without white space and, where it is too large, without what is about nothing here. */
function compact(bytes: Uint8Array): ReadRecord {
  const json = parseOsvJson(bytes, LIMITS.advisory.fileBytes)
  const whole = utf8(JSON.stringify(json))
  if (whole.length <= LIMITS.advisory.recordBytes) return { record: whole, osv: parseOsv(whole) }
  const entries = fieldOf(json, 'affected')
  const isOurs = (entry: unknown): boolean =>
    isJsonObject(entry) && readOsv({ ...json, affected: [entry] }).affected.length > 0
  const affected = Array.isArray(entries) ? entries.filter(isOurs) : []
  const record = utf8(JSON.stringify({ ...json, affected }))
  return { record, osv: parseOsv(record) }
}

/** Where somebody warns: in the registry that he named, else in the one public registry that was made here. */
function placeToSpeak({ registries, attester }: NodeParts, which: string | undefined): FollowedRegistry {
  if (which !== undefined) return registries.find(which)
  const own = registries.all.filter(({ id, made }) => made && !attester.isPrivate(id))
  const [only, other] = own
  if (only !== undefined && other === undefined) return only
  throw new RegistryError('USAGE', 'say in which registry you warn', {
    tried: [own.length === 0 ? 'no registry was made here' : `made here: ${own.map(({ alias }) => alias).join(', ')}`],
    next: `--registry ${only?.alias ?? 'ALIAS'}`
  })
}

/** Attack: an accident. A record names packages, so one about a private package must not be said where others read. */
async function assertStaysPrivate(parts: NodeParts, registry: RegistryId, { affected }: OsvRecord): Promise<void> {
  const { attester, registries, view } = parts
  for (const { name } of affected) {
    const holding: RegistryId[] = []
    for (const id of registries.ids) {
      const claim = (await view.find(id, name))?.claim ?? null
      if (claim !== null) holding.push(id)
    }
    const isOnlyPrivate = holding.length > 0 && holding.every(id => attester.isPrivate(id))
    if (!isOnlyPrivate || holding.includes(registry)) continue
    throw new RegistryError('USAGE', `${name} is private: what is said of it stays in its registry`, {
      next: `--registry ${registries.find(holding[0]).alias}`
    })
  }
}

interface Speaking {
  readonly registry: RegistryId
  readonly key: string | undefined
}

/** One fact for each package that a record is about, so that each is found by its name. */
async function say(
  { attester, gate }: NodeParts,
  { record, osv }: ReadRecord,
  { registry, key }: Speaking
): Promise<readonly AddedAdvisory[]> {
  const signer = await attester.signer(key)
  const added: AddedAdvisory[] = []
  for (const name of new Set(osv.affected.map(one => one.name))) {
    const place = await placeOf(gate, registry, name)
    if (holdingOf(place, { key: signer.principal, roles: ADVISING_ROLES, on: name }, attester.now()) !== 'held') {
      throw new RegistryError(
        'NOT_AUTHORIZED',
        `this key may not warn of ${name} in registry ${place.authority.genesis.name}`,
        {
          tried: [`looked for one of the roles ${ADVISING_ROLES.join(', ')} for ${signer.principal}`],
          next: 'say it in a registry of your own with --registry ALIAS, or ask an owner of this one for the role auditor'
        }
      )
    }
    const own = place.facts
      .filter(isAdvisory)
      .filter(({ body, payload }) => body.author === signer.principal && payload.value.osv.id === osv.id)
    const same = own.find(({ payload }) => equalBytes(payload.value.record, record))
    const newer = own.find(({ payload }) => payload.value.osv.modified >= osv.modified)
    const unmatched = unmatchedIn(osv, name)
    if (same !== undefined) added.push({ id: osv.id, name, fact: same.id, state: 'same', unmatched })
    else if (newer !== undefined) added.push({ id: osv.id, name, fact: newer.id, state: 'newer', unmatched })
    else {
      const value = { head: place.authority.head, record, osv }
      const fact = await attester.author.write(registry, name, { type: 'advisory', value }, { signer })
      attester.announce(registry, fact)
      added.push({ id: osv.id, name, fact: fact.id, state: 'added', unmatched })
    }
  }
  return added
}

function unmatchedIn({ affected }: OsvRecord, name: PackageName): number {
  const own = affected.filter(one => one.name === name)
  const ecosystem = ecosystemOf(name)
  return own.reduce(
    (sum, one) => sum + unordered(one, ecosystem).length + one.ranges.filter(({ type }) => type === 'GIT').length,
    0
  )
}

async function list(
  parts: NodeParts,
  { reference: text, registry: which }: AdvisoryMethods['advisoryList']['params']
): Promise<AdvisoryMethods['advisoryList']['result']> {
  const { registries, view } = parts
  const heard = await heardHere(parts)
  const among = which === undefined ? registries.all : [registries.find(which)]
  const found: ShownAdvisory[] = []
  if (text === undefined) {
    for (const entry of among) {
      for await (const { name, advisories = [] } of view.packages(entry.id))
        found.push(...advisories.map(one => shown(one, { entry, name, about: entry.id, version: undefined, heard })))
    }
  } else {
    const { name, about, version } = await askedAbout(parts, text)
    for (const entry of among) {
      const { advisories = [] } = (await view.find(entry.id, name)) ?? {}
      found.push(...advisories.map(one => shown(one, { entry, name, about, version, heard })))
    }
  }
  const told = found.filter(({ affected }) => affected !== false).toSorted((a, b) => b.modified - a.modified)
  const advisories = told.slice(0, LIMITS.advisory.told)
  const publishers = await namedKeys(
    parts,
    advisories.map(({ by }) => by)
  )
  return { advisories, publishers, more: told.length - advisories.length }
}

async function askedAbout(
  parts: NodeParts,
  text: string
): Promise<{ name: PackageName; about: RegistryId; version: string | undefined }> {
  const { reference, registry } = await meantReference(parts, text)
  const { name, range: version } = reference
  if (version !== undefined) orderingOf(ecosystemOf(name)).parseVersion(version)
  return { name, about: registry.id, version }
}

interface Showing {
  readonly entry: FollowedRegistry
  readonly name: PackageName
  /** Of whose packages is asked. */
  readonly about: RegistryId
  readonly version: string | undefined
  readonly heard: Heard
}

function shown(view: AdvisoryView, { entry, name, about, version: text, heard }: Showing): ShownAdvisory {
  const { id, by, fact, modified, withdrawn, summary, aliases } = view
  const own = affectedIn(view, about)
  const ecosystem = ecosystemOf(name)
  const version = text === undefined ? undefined : orderingOf(ecosystem).parseVersion(text)
  const isIt = version === undefined ? null : isAffected(version, own, ecosystem)
  return {
    id,
    name,
    registry: entry.id,
    alias: entry.alias,
    by,
    fact,
    modified,
    withdrawn,
    severity: own.severity,
    malware: isMalware(view),
    summary,
    aliases,
    affects: affectsText(own.versions, own.ranges),
    heard: isHeard(entry.id, view, { release: { registry: about }, heard }),
    affected: isIt,
    fixed: version === undefined ? null : (lowestFixed(version, own, ecosystem) ?? null)
  }
}

function affectsText(versions: readonly string[], ranges: readonly OsvRange[]): readonly string[] {
  const told = ranges.map(({ type, events }) => {
    const text = events.map(([kind, at]) => `${kind} ${at}`).join(', ')
    return type === 'GIT' ? `commits: ${text}` : text
  })
  const list = versions.slice(0, 8).join(', ')
  const more = versions.length > 8 ? ` and ${versions.length - 8} more` : ''
  return versions.length === 0 ? told : [...told, `versions ${list}${more}`]
}
