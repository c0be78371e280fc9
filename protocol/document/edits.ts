import { utf8 } from '../bytes.ts'
import { parsePrincipal } from '../did.ts'
import { isRegistryError } from '../errors.ts'
import type { Subject } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { textFault } from '../manifest-text.ts'
import { ecosystemOf, parsePackageName } from '../package-name.ts'
import { isPackage } from '../subject.ts'
import { orderingOf } from '../version.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

/** What a key of a document holds: a text, or that the key is there. */
export type DocumentValue = string | true

/** Where in a document: a field, and for most fields the name of an entry. */
export type Path = readonly string[]

/** One plain edit. */
export type Edit =
  | { readonly op: 'put'; readonly path: Path; readonly value: DocumentValue }
  | { readonly op: 'delete'; readonly path: Path }

/** What is wrong with a text, in words for a person; undefined when nothing is. */
type Fault = string | undefined

interface Field {
  /** Of each segment behind the name of the field. */
  readonly names: readonly ((segment: string, subject: Subject) => Fault)[]
  readonly value: (value: DocumentValue, subject: Subject) => Fault
}

const { titleChars, descriptionChars, keywordChars } = LIMITS.manifest

/** docs/spec/metadata.md section 2. */
const PACKAGE_FIELDS: Readonly<Record<string, Field>> = {
  title: { names: [], value: line(titleChars) },
  description: { names: [], value: words(descriptionChars) },
  keywords: { names: [line(keywordChars)], value: present },
  categories: { names: [word], value: present },
  links: { names: [word], value: link },
  tags: { names: [tag], value: version },
  deprecated: { names: [range], value: line(LIMITS.fact.reasonChars) },
  maintainers: { names: [key], value: line(titleChars) }
}

/** docs/spec/metadata.md section 3. */
const CATALOGUE_FIELDS: Readonly<Record<string, Field>> = {
  categories: { names: [word], value: described },
  bundles: { names: [word], value: line(titleChars) },
  members: { names: [word, packageName], value: memberRange },
  scores: { names: [word], value: score },
  announcements: { names: [word], value: words(descriptionChars) }
}

/** The key of a path in the document: its segments, joined by `/`. Only the last of them may hold one. */
export function keyOf(path: Path): string {
  return path.join('/')
}

/** The path of a key: the other way round. */
export function pathOf(subject: Subject, key: string): Path {
  const [field = '', ...rest] = key.split('/')
  const names = fieldNamed(subject, field)?.names.length ?? 1
  if (rest.length <= names) return [field, ...rest]
  return [field, ...rest.slice(0, names - 1), rest.slice(names - 1).join('/')]
}

/** Why an edit can't be made, in words for a person; undefined when it can. Its bytes alone decide. */
export function editFault(subject: Subject, edit: Edit): Fault {
  const [name = '', ...segments] = edit.path
  const field = fieldNamed(subject, name)
  if (field === undefined)
    return `${quoted(name)} is not a field of a ${subject === 'registry' ? 'catalogue' : 'package'}: use ${Object.keys(fieldsOf(subject)).join(', ')}`
  if (segments.length !== field.names.length)
    return `${name} takes ${field.names.length === 0 ? 'no name of an entry' : `${field.names.length} names: ${name}/…`}`
  for (const [i, segment] of segments.entries()) {
    // The last name may hold a `/`, and what reads the key may split it there.
    if (segment.split('/').some(isPolluting)) return `${quoted(segment)} can't be a name`
    const fault = field.names[i]?.(segment, subject)
    if (fault !== undefined) return fault
  }
  if (utf8(keyOf(edit.path)).length > DOCUMENT_LIMITS.keyBytes)
    return `the name is longer than ${DOCUMENT_LIMITS.keyBytes} bytes`
  return edit.op === 'delete' ? undefined : field.value(edit.value, subject)
}

/** Attack: a key that replaces the prototype of whatever object it is put into (threats F7). */
export function isPolluting(segment: string): boolean {
  return segment.split('/').some(part => part === '__proto__' || part === 'constructor' || part === 'prototype')
}

function fieldsOf(subject: Subject): Readonly<Record<string, Field>> {
  return subject === 'registry' ? CATALOGUE_FIELDS : PACKAGE_FIELDS
}

/** Attack: `constructor` is a key of every object. */
function fieldNamed(subject: Subject, name: string): Field | undefined {
  const fields = fieldsOf(subject)
  return Object.hasOwn(fields, name) ? fields[name] : undefined
}

const WORD = /^[a-z0-9]+(?:[.-][a-z0-9]+)*$/
const WORD_CHARS = 64

function word(segment: string): Fault {
  if (segment.length <= WORD_CHARS && WORD.test(segment)) return undefined
  return `${quoted(segment)} is not a name: use a-z and 0-9, joined by single "." or "-", at most ${WORD_CHARS} characters`
}

/** Attack: one way only to match a text. With an optional `-` between runs, thirty letters and a `!` take a minute. */
const TAG = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/

/** A tag must not read like a range: `name@1` and `name@next` are told apart by their spelling alone. */
export function isTag(text: string): boolean {
  return text.length <= WORD_CHARS && TAG.test(text) && !/^(?:v+|x)(?:[0-9x]|$)/.test(text)
}

function tag(segment: string): Fault {
  return isTag(segment)
    ? undefined
    : `${quoted(segment)} is not a tag: use a-z and 0-9, joined by single "-", beginning with a letter, and nothing that reads like a version`
}

function line(chars: number): (text: DocumentValue) => Fault {
  return text => {
    const fault = words(chars)(text)
    if (fault !== undefined || typeof text !== 'string') return fault
    return /[\n\t]/.test(text) ? `${quoted(text)} has more than one line` : undefined
  }
}

function words(chars: number): (text: DocumentValue) => Fault {
  return text => {
    if (typeof text !== 'string') return 'a text is missing'
    const fault = textFault(text, chars)
    return fault === undefined ? undefined : `${quoted(text)} ${fault}`
  }
}

function present(value: DocumentValue): Fault {
  return value === true ? undefined : 'an entry of this field has no text'
}

/** A description, or none. */
function described(value: DocumentValue): Fault {
  return value === true ? undefined : line(LIMITS.fact.reasonChars)(value)
}

/**
 * A grammar of its own, in ASCII: what a URL parser takes changes with its version, and all nodes must refuse the same facts.
 *
 *   link = ("http" / "https") "://" host [":" 1*5DIGIT] ["/" *VCHAR]     ; no credentials, no other scheme
 *   host = labels of letters, digits and "-", joined by "." / "[" 2*39(HEXDIG / ":") "]"
 */
const LINK =
  /^https?:\/\/(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]{2,39}\])(?::[0-9]{1,5})?(?:\/[!-~]*)?$/i

function link(value: DocumentValue): Fault {
  const fault = line(DOCUMENT_LIMITS.urlChars)(value)
  if (fault !== undefined || value === true) return fault
  return LINK.test(value) ? undefined : `${quoted(value)} is not a link: use https://… with ascii characters`
}

function version(value: DocumentValue, subject: Subject): Fault {
  return typeof value === 'string' && isReadable(() => ordering(subject).parseVersion(value))
    ? undefined
    : `${quoted(value)} is not a version`
}

function range(segment: string, subject: Subject): Fault {
  const fault = line(LIMITS.names.rangeChars)(segment)
  if (fault !== undefined) return fault
  return isReadable(() => ordering(subject).parseRange(segment))
    ? undefined
    : `${quoted(segment)} is not a version range`
}

function memberRange(value: DocumentValue): Fault {
  return range(value === true ? '' : value, 'ggen/any' as Subject)
}

function key(segment: string): Fault {
  return isReadable(() => parsePrincipal(segment))
    ? undefined
    : `${quoted(segment)} is not a public key: use did:key:z6Mk…`
}

function packageName(segment: string): Fault {
  return isReadable(() => parsePackageName(segment)) ? undefined : `${quoted(segment)} is not the name of a package`
}

function score(value: DocumentValue): Fault {
  return typeof value === 'string' && /^(?:0|[1-9][0-9]?|100)$/.test(value)
    ? undefined
    : `${quoted(value)} is not a score: use 0 to 100`
}

function ordering(subject: Subject): ReturnType<typeof orderingOf> {
  return orderingOf(isPackage(subject) ? ecosystemOf(subject) : 'ggen')
}

function isReadable(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return false
  }
}

function quoted(value: DocumentValue): string {
  return value === true ? 'nothing' : JSON.stringify(value.slice(0, 80))
}
