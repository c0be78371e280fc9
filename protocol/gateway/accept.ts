import { LIMITS } from '../limits.ts'

export type Format = 'raw' | 'car'

export const RAW_TYPE = 'application/vnd.ipld.raw'
export const CAR_TYPE = 'application/vnd.ipld.car'

/** What the query says of the format; it beats the header. */
interface Asked {
  readonly format: string | null
  readonly version: string | null
  readonly order: string | null
  readonly dups: string | null
}

interface Chosen {
  readonly format: Format
  readonly dups: boolean
}

interface NotServed {
  readonly status: 400 | 406
  readonly text: string
}

const OFFER =
  'this gateway sends blocks (format=raw) and archives of them (format=car) and nothing that has to be trusted'

/** What is sent, by `format` of the query, or else by the first media type of the header that is served here. */
export function acceptedFormat(accept: string | undefined, asked: Asked): Chosen | NotServed {
  const offers = mediaTypes(accept ?? '')
  if (offers === undefined) return { status: 400, text: 'the Accept header is too long' }
  if (asked.format === 'raw') return { format: 'raw', dups: false }
  if (asked.format === 'car') {
    const cars = offers.filter(({ type }) => type === CAR_TYPE)
    // Parameters of the header go on holding where the query is silent about them.
    const first = [...cars, { type: CAR_TYPE, params: new Map<string, string>() }].map(each => carOf(each, asked))
    return first.find(each => each !== undefined) ?? { status: 406, text: OFFER_CAR }
  }
  if (asked.format !== null) return { status: 406, text: OFFER }
  if (accept === undefined || accept === '') return { status: 400, text: `say which format: ${OFFER}` }
  for (const offer of offers) {
    if (offer.type === RAW_TYPE) return { format: 'raw', dups: false }
    const car = offer.type === CAR_TYPE ? carOf(offer, asked) : undefined
    if (car !== undefined) return car
  }
  return { status: 406, text: offers.some(({ type }) => type === CAR_TYPE) ? OFFER_CAR : OFFER }
}

const OFFER_CAR = 'archives are sent with version=1, order=dfs and dups=y or dups=n'

interface MediaType {
  readonly type: string
  readonly params: ReadonlyMap<string, string>
}

function carOf({ params }: MediaType, asked: Asked): Chosen | undefined {
  const value = (name: 'version' | 'order' | 'dups'): string | undefined => asked[name] ?? params.get(name)
  const [version = '1', order = 'dfs', dups = 'n'] = [value('version'), value('order'), value('dups')]
  // Who takes any order takes this one too.
  const isServed = version === '1' && (order === 'dfs' || order === 'unk') && (dups === 'y' || dups === 'n')
  return isServed ? { format: 'car', dups: dups === 'y' } : undefined
}

/** The media types of an Accept header, the most wanted first; those that are wanted by 0 are left out. */
function mediaTypes(header: string): readonly MediaType[] | undefined {
  const { acceptChars, acceptEntries } = LIMITS.gateway
  const parts = header === '' ? [] : header.split(',', acceptEntries + 1)
  if (header.length > acceptChars || parts.length > acceptEntries) return undefined
  return parts
    .map(part => {
      const [type = '', ...pairs] = part.split(';').map(text => text.trim().toLowerCase())
      const params = new Map(pairs.map(pair => splitPair(pair)))
      const q = Number(params.get('q') ?? 1)
      return { type, params, q: Number.isFinite(q) ? q : 0 }
    })
    .filter(({ q }) => q > 0)
    .toSorted((a, b) => b.q - a.q)
}

function splitPair(pair: string): readonly [string, string] {
  const at = pair.indexOf('=')
  if (at < 0) return [pair, '']
  return [
    pair.slice(0, at).trim(),
    pair
      .slice(at + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1')
  ]
}
