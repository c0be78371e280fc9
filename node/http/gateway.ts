import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { contentCarHeader } from '../../protocol/content-car.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { CAR_TYPE, RAW_TYPE } from '../../protocol/gateway/accept.ts'
import { headerRange } from '../../protocol/gateway/ranges.ts'
import { isGatewayTarget, parseGatewayRequest } from '../../protocol/gateway/request.ts'
import type { GatewayRequest } from '../../protocol/gateway/request.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { say, sendPieces } from './answer.ts'
import type { Exchange, Headers } from './answer.ts'
import { carPieces, planCar } from './gateway-car.ts'
import type { CarPlan, ReadableBlocks } from './gateway-car.ts'
import type { Route } from './listener.ts'
import type { Turnstile } from './turnstile.ts'

/** What may be said of a block. `withheld`: by an operator. `gone`: withheld, and deleted too. */
export type Sight = 'here' | 'absent' | 'withheld' | 'gone'

/** What one asker may see. It is on this disk: nothing is ever fetched for whoever asks. */
export interface Shelf extends ReadableBlocks {
  look(cid: CID, signal: AbortSignal): Promise<Sight>
}

export interface GatewayInit {
  /** What everybody may see. */
  readonly open: Shelf
  /** What the bearer of a token may see beside it; undefined for a token that is good for nothing. */
  readonly ofToken: (token: string) => Shelf | undefined
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** Answers and their bytes, for those who count. */
  readonly onAnswer?: (answer: { readonly status: number; readonly bytes: number }) => void
}

/** The CID of nothing: whoever wants to know whether this is a gateway asks for it. */
const PROBE = 'bafkqaaa'

/**
 * The trustless gateway of the IPFS specifications: `GET|HEAD /ipfs/{cid}[/path]` as a block or as an archive of blocks.
 * Whoever reads it verifies it; no answer is ever a page, an image or a program.
 */
export function gatewayRoute(init: GatewayInit, turnstile: Turnstile, isLocal: boolean): Route {
  return async exchange => {
    const { request, response } = exchange
    const target = request.url ?? ''
    if (!isGatewayTarget(target)) return false
    const before = request.socket.bytesWritten
    response.once('close', () =>
      init.onAnswer?.({ status: response.statusCode, bytes: request.socket.bytesWritten - before })
    )
    const token = bearer(request.headers.authorization)
    // What everybody may see is no secret to any page. What a token shows is: a page gets no leave to send one.
    if (!isLocal && token === undefined) openToPages(exchange)
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { allow: 'GET, HEAD, OPTIONS' }).end()
      return true
    }
    const shelf = token === undefined ? init.open : shelfOf(token, exchange, { init, turnstile })
    if (shelf === undefined) {
      say(exchange, 401, 'the token is not good, or not any more', { 'www-authenticate': 'Bearer realm="ggen-node"' })
      return true
    }
    const asked = parseGatewayRequest(target, request.headers.accept)
    if ('status' in asked) say(exchange, asked.status, asked.text)
    else await serve(exchange, asked, { shelf, clock: init.clock, isPrivate: token !== undefined })
    return true
  }
}

function bearer(header: string | undefined): string | undefined {
  return header === undefined ? undefined : (/^Bearer +(\S+)$/i.exec(header)?.[1] ?? '')
}

function shelfOf(
  token: string,
  { ip }: Exchange,
  { init, turnstile }: { readonly init: GatewayInit; readonly turnstile: Turnstile }
): Shelf | undefined {
  // Attack: tokens tried one after the other. After a few wrong ones no token of that address is looked at for a while.
  if (!turnstile.mayShowToken(ip)) return undefined
  const shelf = token.length > LIMITS.gateway.tokenChars ? undefined : init.ofToken(token)
  if (shelf === undefined) turnstile.wrongToken(ip)
  return shelf
}

function openToPages({ response }: Exchange): void {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-allow-methods', 'GET, HEAD, OPTIONS')
  response.setHeader('access-control-allow-headers', 'Accept, Cache-Control, If-None-Match, If-Range, Range')
  response.setHeader('access-control-expose-headers', 'Content-Length, Content-Range, ETag')
  response.setHeader('access-control-max-age', '86400')
}

interface Serving {
  readonly shelf: Shelf
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly isPrivate: boolean
}

async function serve(exchange: Exchange, asked: GatewayRequest, serving: Serving): Promise<void> {
  const { request, signal } = exchange
  if (asked.cid.toString() === PROBE) return probe(exchange, asked)
  const sight = await serving.shelf.look(asked.cid, signal)
  const isCacheOnly = /(?:^|[,\s])only-if-cached(?:$|[,\s])/i.test(request.headers['cache-control'] ?? '')
  switch (sight) {
    case 'absent':
      return isCacheOnly ? say(exchange, 412, 'not here') : say(exchange, 404, 'not here, and nobody else is asked')
    case 'withheld':
      return say(exchange, 451, 'the operator of this node withholds this content')
    case 'gone':
      return say(exchange, 410, 'the operator of this node deleted this content')
    case 'here':
      break
  }
  const head = headOf(asked, serving)
  if (asked.format === 'raw') return sendBlock(exchange, asked, { ...serving, head })
  return sendCar(exchange, asked, { ...serving, head })
}

type Head = Headers & { readonly etag: string; readonly 'cache-control': string; readonly vary: string }

function headOf(asked: GatewayRequest, { isPrivate }: Pick<Serving, 'isPrivate'>): Head {
  const { name, path, format, scope, bytes, dups, location, disposition } = asked
  const isRaw = format === 'raw'
  const variant = JSON.stringify([path, scope, bytes ?? null, dups])
  const mark = createHash('sha256').update(variant).digest('hex').slice(0, 16)
  return {
    'content-type': isRaw ? RAW_TYPE : `${CAR_TYPE}; version=1; order=dfs; dups=${dups ? 'y' : 'n'}`,
    'content-disposition': `attachment; ${disposition ?? `filename="${name}.${isRaw ? 'bin' : 'car'}"`}`,
    // Weak: what parts a later program makes of the same archive is its own affair.
    etag: isRaw ? `"${name}.raw"` : `W/"${name}.car.${mark}"`,
    // No cache that others use keeps what a token showed.
    'cache-control': `${isPrivate ? 'private' : 'public'}, max-age=29030400, immutable`,
    vary: 'Accept, Authorization',
    'accept-ranges': isRaw ? 'bytes' : 'none',
    ...(location === undefined ? {} : { 'content-location': location })
  }
}

async function probe(exchange: Exchange, asked: GatewayRequest): Promise<void> {
  const { request, response } = exchange
  const isRaw = asked.format === 'raw'
  const body = isRaw ? new Uint8Array() : contentCarHeader(asked.cid)
  const head = headOf(asked, { isPrivate: false })
  response.writeHead(200, { ...head, 'content-length': body.length })
  response.end(request.method === 'HEAD' ? undefined : body)
}

interface WithHead extends Serving {
  readonly head: Head
}

async function sendBlock(exchange: Exchange, { cid }: GatewayRequest, { shelf, clock, head }: WithHead): Promise<void> {
  const { request, response, signal } = exchange
  const bytes = await shelf.read(cid, signal)
  if (bytes === undefined) return say(exchange, 404, 'not here, and nobody else is asked')
  if (isHeld(exchange, head)) return
  const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === head.etag
  // RFC 9110 knows parts of a GET alone.
  const range = isSame && request.method === 'GET' ? headerRange(request.headers.range, bytes.length) : 'whole'
  if (range === 'outside') {
    return say(exchange, 416, 'the block has no such bytes', { 'content-range': `bytes */${bytes.length}` })
  }
  const part = range === 'whole' ? bytes : bytes.subarray(range.first, range.last + 1)
  const rangeHead: Headers =
    range === 'whole' ? {} : { 'content-range': `bytes ${range.first}-${range.last}/${bytes.length}` }
  response.writeHead(range === 'whole' ? 200 : 206, { ...head, ...rangeHead, 'content-length': part.length })
  if (request.method === 'HEAD') return void response.end()
  await sendPieces(exchange, clock, only(part))
}

async function sendCar(exchange: Exchange, asked: GatewayRequest, { shelf, clock, head }: WithHead): Promise<void> {
  const { request, response, signal } = exchange
  let plan: CarPlan | 'missing' | 'outside'
  try {
    plan = await planCar(shelf, asked, signal)
  } catch (error) {
    if (!isRegistryError(error) || !['LIMIT_EXCEEDED', 'MALFORMED'].includes(error.code)) throw error
    return say(exchange, 400, error.message)
  }
  if (plan === 'missing') return say(exchange, 404, 'the path leads to nothing that is here')
  if (plan === 'outside') return say(exchange, 400, 'what the path leads to has no such bytes')
  if (isHeld(exchange, head)) return
  response.writeHead(200, head)
  if (request.method === 'HEAD') return void response.end()
  await sendPieces(exchange, clock, carPieces(shelf, plan, { ...asked, signal }))
}

async function* only(piece: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield piece
}

/**
 * Answers whoever has it already. Only of what would have been sent: a condition makes nothing out of a path that leads nowhere
 * (RFC 9110, 13.2.1).
 */
function isHeld({ request, response }: Exchange, head: Head): boolean {
  if (!matches(request.headers['if-none-match'], head.etag)) return false
  const kept = ['etag', 'cache-control', 'vary', 'content-location']
  response.writeHead(304, Object.fromEntries(Object.entries(head).filter(([name]) => kept.includes(name)))).end()
  return true
}

/** If-None-Match compares weakly. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const plain = (tag: string): string => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some(tag => plain(tag) === plain(etag))
}
