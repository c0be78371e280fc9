import { CID } from 'multiformats/cid'
import { base36 } from 'multiformats/bases/base36'
import { LIMITS } from '../limits.ts'
import { acceptedFormat } from './accept.ts'
import type { Format } from './accept.ts'
import { parseEntityBytes } from './ranges.ts'
import type { EntityBytes } from './ranges.ts'
import { quoted } from '../strange-text.ts'

/** How much of what a path leads to is sent. */
export type DagScope = 'block' | 'entity' | 'all'

/** One request of a trustless gateway, understood. */
export interface GatewayRequest {
  readonly cid: CID
  /** As it was asked for; it goes into headers, so it holds nothing but letters and digits. */
  readonly name: string
  readonly path: readonly string[]
  readonly format: Format
  readonly scope: DagScope
  readonly bytes: EntityBytes | undefined
  /** Whether a block comes again each time the walk meets it. */
  readonly dups: boolean
  /** The address that says all of this without an Accept header; undefined when that is the one it came by. */
  readonly location: string | undefined
  /** What the reader wants it to be called on a disk of its own, as a header says it; undefined for the CID. */
  readonly disposition: string | undefined
}

/** Why nothing is sent. */
export interface Refusal {
  readonly status: 400 | 404 | 406 | 414
  readonly text: string
}

const SCOPES = ['block', 'entity', 'all'] as const

/** Whether an address is one of the gateway's at all. */
export function isGatewayTarget(target: string): boolean {
  return target.startsWith('/ipfs/')
}

/**
 * Reads `/ipfs/{cid}[/path][?format=…&dag-scope=…&entity-bytes=…&car-…=…]` with its Accept header, as "Trustless Gateway"
 * of the IPFS specifications has them. Nothing of it is normalised: `..` in a path is a name that no folder holds.
 */
export function parseGatewayRequest(target: string, accept: string | undefined): GatewayRequest | Refusal {
  if (target.length > LIMITS.gateway.urlChars) return { status: 414, text: 'the address is too long' }
  const mark = target.indexOf('?')
  const [place, query] = mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
  const [, , name = '', ...rest] = place.split('/')
  const cid = parseAnyCid(name)
  if (cid === undefined) return bad(`${quoted(name)} is no content identifier`)
  const path = pathOf(rest)
  if (path === undefined) return bad('the path is not percent-encoded UTF-8')
  const params = new URLSearchParams(query)
  const chosen = acceptedFormat(accept, {
    format: params.get('format'),
    version: params.get('car-version'),
    order: params.get('car-order'),
    dups: params.get('car-dups')
  })
  if ('status' in chosen) return chosen
  const { format, dups } = chosen
  if (format === 'raw' && path.length > 0)
    return bad('a path goes with format=car only: ask for a block by its own CID')
  const shape = shapeOf(params)
  if ('status' in shape) return shape
  const location = isSaidBy(params, accept, chosen) ? undefined : locationOf(place, params, chosen)
  return { cid, name, path, format, dups, location, disposition: dispositionOf(params.get('filename')), ...shape }
}

/** Whether the query alone says what is sent, and no Accept header another thing: a cache may then keep it under that address. */
function isSaidBy(
  params: URLSearchParams,
  accept: string | undefined,
  { format, dups }: { readonly format: Format; readonly dups: boolean }
): boolean {
  if (params.get('format') !== format) return false
  const wanted = acceptedFormat(accept, { format: null, version: null, order: null, dups: null })
  const isContradicted = !('status' in wanted) && wanted.format !== format
  return !isContradicted && (format === 'raw' || dups === (params.get('car-dups') === 'y'))
}

/**
 * `filename="a.bin"`, and beside it `filename*=UTF-8''…` where the name is not ASCII (RFC 6266). Attack: a name that ends the
 * header, leads to another folder or shows itself as another one. What is not a letter, a digit or a mark that no program reads
 * anything into is an underscore.
 */
function dispositionOf(filename: string | null): string | undefined {
  if (filename === null || filename === '' || filename.length > LIMITS.gateway.filenameChars) return undefined
  const name = filename.toWellFormed().replaceAll(/[^\p{L}\p{M}\p{N} ._()+,=@-]/gu, '_')
  const plain = name.replaceAll(/[^\x20-\x7e]/gu, '_')
  // Both stand for themselves in a URL, and not in a header.
  const coded = encodeURIComponent(name).replaceAll(/[()]/g, mark => (mark === '(' ? '%28' : '%29'))
  return name === plain ? `filename="${plain}"` : `filename="${plain}"; filename*=UTF-8''${coded}`
}

function shapeOf(params: URLSearchParams): Pick<GatewayRequest, 'scope' | 'bytes'> | Refusal {
  const asked = params.get('dag-scope')
  const scope = asked === null ? 'all' : SCOPES.find(each => each === asked)
  if (scope === undefined) return bad('dag-scope is block, entity or all')
  const text = params.get('entity-bytes')
  if (text === null) return { scope, bytes: undefined }
  const bytes = parseEntityBytes(text)
  if (bytes === undefined) return bad('entity-bytes is FROM:TO, both whole numbers, and TO may be *')
  // Each of the two says what is sent; together they may only say the same.
  if (asked !== null && scope !== 'entity') return bad('entity-bytes goes with dag-scope=entity')
  return { scope: 'entity', bytes }
}

/** Every spelling that IPFS programs use: base58 of version 0, base32, base36 and base58 of version 1. */
function parseAnyCid(text: string): CID | undefined {
  if (!/^[0-9A-Za-z]{1,128}$/.test(text)) return undefined
  try {
    return text.startsWith('k') ? CID.parse(text, base36) : CID.parse(text)
  } catch {
    return undefined
  }
}

/** The names in a path. A slash at the end names nothing. */
function pathOf(parts: readonly string[]): readonly string[] | undefined {
  const names = parts.at(-1) === '' ? parts.slice(0, -1) : parts
  try {
    return names.map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/** The same address with all that headers said, so that a cache keeps one answer for each. */
function locationOf(
  place: string,
  given: URLSearchParams,
  { format, dups }: { readonly format: Format; readonly dups: boolean }
): string {
  const params = new URLSearchParams({ format })
  for (const key of ['dag-scope', 'entity-bytes']) {
    const value = given.get(key)
    if (value !== null && format === 'car') params.set(key, value)
  }
  if (format === 'car' && dups) params.set('car-dups', 'y')
  return `${place}?${params.toString()}`
}

function bad(text: string): Refusal {
  return { status: 400, text }
}
