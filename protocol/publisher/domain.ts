import type { Brand } from '../brand.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { quoted } from '../strange-text.ts'

/**
 * A domain that somebody can own, in its one spelling:
 *
 *   domain = label 1*( "." label ), at most 240 characters
 *   label  = 1*63( a-z / 0-9 / "-" ), not "-" at either end; the last one begins with a letter and has two or more
 *
 * International names are written as DNS has them, `xn--…`, and shown so: what a person could take for another
 * domain stands out. Nothing is mapped from one spelling to another.
 */
export type Domain = Brand<string, 'Domain'>

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const TOP = /^(?:[a-z][a-z0-9-]*[a-z0-9])$/

/** Names that DNS gives to nobody: who answers for them is whoever stands nearest. */
const NOBODYS = new Set(['alt', 'arpa', 'internal', 'invalid', 'lan', 'local', 'localhost', 'onion'])

/**
 * Suffixes under which anybody gets a name, as far as they have two labels and are common. A table in a program is never the
 * whole of it; what is missing makes a claim possible that only the holder of the suffix could confirm.
 */
const SECOND_LEVELS = new Set([
  'ac',
  'co',
  'com',
  'edu',
  'gov',
  'ltd',
  'me',
  'mil',
  'net',
  'ne',
  'or',
  'org',
  'plc',
  'sch'
])
const SHARED = new Set([
  'appspot.com',
  'azurewebsites.net',
  'blogspot.com',
  'cloudfront.net',
  'codeberg.page',
  'duckdns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'netlify.app',
  'pages.dev',
  'readthedocs.io',
  'vercel.app',
  'web.app',
  'workers.dev'
])

/** Why a text is no domain that a key can be bound to; undefined when it is one. */
export function domainFault(text: string): string | undefined {
  if (text.length > LIMITS.publisher.domainChars) return `it has more than ${LIMITS.publisher.domainChars} characters`
  const labels = text.split('.')
  if (labels.length < 2) return 'it has one label only'
  if (!labels.every(label => LABEL.test(label))) return 'use a-z, 0-9 and "-"; international names as xn--…'
  // Only "xn--" means anything; the others are kept for what may come.
  if (labels.some(label => label.slice(2, 4) === '--' && !label.startsWith('xn--'))) return 'a label of it is reserved'
  const top = labels.at(-1) ?? ''
  if (!TOP.test(top)) return 'it is an address, or ends as no domain does'
  if (NOBODYS.has(top)) return `nobody owns names under ${top}`
  return isShared(text, labels) ? 'anybody gets names under it, so nobody owns it' : undefined
}

function isShared(text: string, labels: readonly string[]): boolean {
  const [second = '', top = ''] = labels
  return labels.length === 2 && (SHARED.has(text) || (top.length === 2 && SECOND_LEVELS.has(second)))
}

/** @throws RegistryError MALFORMED */
export function parseDomain(text: string): Domain {
  const fault = domainFault(text)
  if (fault === undefined) return text as Domain
  throw new RegistryError('MALFORMED', `${quoted(text)} is not a domain: ${fault}`)
}

export function isDomain(text: string): text is Domain {
  return domainFault(text) === undefined
}

/** The name whose TXT records are asked for. */
export function questionOf(domain: Domain): string {
  return `_ggen-node.${domain}`
}
