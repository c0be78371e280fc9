import type { EditOrder } from '../../node/services/documents/methods.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { deprecateParts } from './edit-argv.ts'
import { listOption, textOption } from './run.ts'
import type { Options } from './run.ts'

/**
 * What the options of `edit` order. Here only their shapes are looked at; what a value may be is said by the grammar of
 * edits, by whoever carries them out.
 * @throws RegistryError INVALID_EDIT
 */
export function ordersOf(options: Options): readonly EditOrder[] {
  return withoutRepeats([
    ...textOrders(options, 'title'),
    ...textOrders(options, 'description'),
    ...listOption(options, 'keyword').map(word => wordOrder('keyword', 'keywords', word)),
    ...listOption(options, 'category').map(word => wordOrder('category', 'categories', word)),
    ...listOption(options, 'link').map(text => entryOrder('link', 'links', text)),
    ...listOption(options, 'tag').map(text => entryOrder('tag', 'tags', text)),
    ...listOption(options, 'deprecate').map(deprecateOrder),
    ...listOption(options, 'undeprecate').map(range => remove('deprecated', range)),
    ...listOption(options, 'maintainer').map(text => entryOrder('maintainer', 'maintainers', text))
  ])
}

/** How the values of an option are written, for who got one wrong. */
const WRITTEN = {
  keyword: '--keyword +WORD adds one, --keyword -WORD takes it away',
  category: '--category +NAME adds one, --category -NAME takes it away',
  link: '--link NAME=URL says one, --link -NAME takes it away',
  tag: '--tag NAME=VERSION says one, --tag -NAME takes it away',
  deprecate: "--deprecate 'RANGE' 'TEXT' says it, --undeprecate 'RANGE' takes it back",
  maintainer: '--maintainer did:key:z6Mk…=NAME says one, --maintainer -did:key:z6Mk… takes it away'
} as const

type Shaped = keyof typeof WRITTEN

function textOrders(options: Options, field: 'title' | 'description'): readonly EditOrder[] {
  const text = textOption(options, field)
  if (text === undefined) return []
  return [text === '' ? remove(field) : put([field], text)]
}

function wordOrder(option: Shaped, field: string, text: string): EditOrder {
  const word = text.slice(1)
  if (word !== '' && text.startsWith('+')) return put([field, word], true)
  if (word !== '' && text.startsWith('-')) return remove(field, word)
  throw misshapen(
    option,
    text === '' ? `--${option} needs a word` : `${quoted(text)} has no word with a sign before it`
  )
}

function entryOrder(option: Shaped, field: string, text: string): EditOrder {
  const equals = text.indexOf('=')
  if (text.startsWith('-')) {
    if (text.length === 1) throw misshapen(option, `--${option} - names nothing`)
    if (equals >= 0) throw misshapen(option, `${quoted(text)} takes an entry away and says one at once`)
    return remove(field, text.slice(1))
  }
  if (equals < 1) throw misshapen(option, `${quoted(text)} is not a name with a value`)
  const value = text.slice(equals + 1)
  if (value === '') throw misshapen(option, `${quoted(text)} has no value`)
  return put([field, text.slice(0, equals)], value)
}

function deprecateOrder(tied: string): EditOrder {
  const [range, text] = deprecateParts(tied)
  if (range === '') throw misshapen('deprecate', 'a range is missing')
  if (text === undefined || text === '') throw misshapen('deprecate', `the range ${quoted(range)} has no text`)
  return put(['deprecated', range], text)
}

function put(path: readonly string[], value: string | true): EditOrder {
  return { op: 'put', path, value }
}

function remove(...path: readonly string[]): EditOrder {
  return { op: 'delete', path, value: null }
}

/** Said twice is said once; said in two ways is a mistake, not an order of its own. */
function withoutRepeats(orders: readonly EditOrder[]): readonly EditOrder[] {
  const kept = new Map<string, EditOrder>()
  for (const order of orders) {
    const key = JSON.stringify(order.path)
    const before = kept.get(key)
    if (before === undefined) kept.set(key, order)
    else if (before.op !== order.op || before.value !== order.value) {
      throw new RegistryError('INVALID_EDIT', `${order.path.join(' ')} is edited in two ways at once`, {
        next: 'say one of them'
      })
    }
  }
  return [...kept.values()]
}

function misshapen(option: Shaped, message: string): RegistryError {
  return new RegistryError('INVALID_EDIT', message, { next: WRITTEN[option] })
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
