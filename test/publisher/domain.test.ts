import { describe, expect, test } from 'vitest'
import { askDomain } from '../../node/dns-lookup.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ageOf, isDue, remember, standingOf } from '../../protocol/publisher/binding.ts'
import { domainFault, isDomain, parseDomain } from '../../protocol/publisher/domain.ts'
import { keysInTxt, txtOf } from '../../protocol/publisher/txt.ts'
import { codeOf } from '../support/error-code.ts'
import { person } from '../support/facts.ts'

const ann = person('ann').did
const bob = person('bob').did
const signal = new AbortController().signal
const domain = parseDomain('example.org')
const { freshMs, holdsMs, failedMs } = LIMITS.publisher

describe('a domain', () => {
  test.each(['example.org', 'a.example.co.uk', 'xn--bcher-kva.example', 'ann.github.io', '0x.dev', 'a-b.c-d.museum'])(
    'is %s',
    text => expect(domainFault(text)).toBeUndefined()
  )

  test.each([
    ['', 'label'],
    ['localhost', 'one label'],
    ['Example.org', 'a-z'],
    ['bücher.example', 'a-z'],
    ['exаmple.org', 'a-z'], // with a Cyrillic a
    ['example.org.', 'a-z'],
    ['.example.org', 'a-z'],
    ['exa mple.org', 'a-z'],
    ['-a.example.org', 'a-z'],
    ['_ggen-node.example.org', 'a-z'],
    ['192.0.2.1', 'address'],
    ['0x7f.0.0.0x1', 'address'],
    ['[::1]', 'one label'],
    ['ab--cd.example.org', 'reserved'],
    ['printer.local', 'nobody'],
    ['abcdef.onion', 'nobody'],
    ['co.uk', 'anybody'],
    ['github.io', 'anybody'],
    [`${'a'.repeat(64)}.org`, 'a-z'],
    [`${'a.'.repeat(120)}org`, 'characters']
  ])('is not %s', (text, why) => {
    expect(domainFault(text)).toContain(why)
    expect(isDomain(text)).toBe(false)
    expect(codeOf(() => parseDomain(text))).toBe('MALFORMED')
  })
})

describe('an answer', () => {
  test('names keys in whole records, in one chunk or several', () => {
    const text = txtOf(ann)
    expect(keysInTxt([['v=spf1 -all'], [text], [text.slice(0, 20), text.slice(20)], [txtOf(bob)]])).toEqual(
      [ann, bob].toSorted()
    )
  })

  test.each([
    ['something behind the key', `${txtOf(ann)} `],
    ['something before it', ` ${txtOf(ann)}`],
    ['another case', txtOf(ann).toUpperCase()],
    ['two keys in one', `${txtOf(ann)};${txtOf(bob)}`],
    ['a key that is none', 'ggen-key=did:key:z6Mkwrong']
  ])('with %s names nobody', (_, text) => expect(keysInTxt([[text]])).toEqual([]))

  test('of a thousand records, a novel, or a crowd of keys is none', async () => {
    const many = Array.from({ length: 1_000 }, () => ['v=x'])
    expect(codeOf(() => keysInTxt([...many, [txtOf(ann)]]))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(() => keysInTxt([[txtOf(ann)], Array.from({ length: 100 }, () => 'x'.repeat(255))]))).toBe(
      'LIMIT_EXCEEDED'
    )
    const crowd = Array.from({ length: 17 }, (_, i) => [txtOf(person(`${i}`).did)])
    expect(codeOf(() => keysInTxt(crowd))).toBe('LIMIT_EXCEEDED')
    expect(await askDomain(async () => many, domain, { signal })).toEqual({ fault: 'too-large' })
  })

  test('that never comes is waited for so long and no longer', async () => {
    const never = (): Promise<never> => new Promise(() => {})
    expect(await askDomain(never, domain, { signal, timeoutMs: 1 })).toEqual({ fault: 'timeout' })
  })

  test('that somebody gave up on throws what they gave up for', async () => {
    const given = AbortSignal.abort(new Error('enough'))
    await expect(askDomain(() => new Promise(() => {}), domain, { signal: given })).rejects.toThrow('enough')
  })
})

describe('what is remembered', () => {
  const answered = remember(domain, undefined, { answer: { keys: [ann] }, now: 0 })

  test('holds, first as good as new, then as it was, then not at all', () => {
    expect([ageOf(answered, freshMs - 1), ageOf(answered, freshMs), ageOf(answered, holdsMs)]).toEqual([
      'fresh',
      'stale',
      'expired'
    ])
    expect([0, freshMs, holdsMs].map(now => standingOf(ann, answered, now))).toEqual([
      'verified',
      'verified',
      'unanswered'
    ])
    expect(standingOf(bob, answered, 0)).toBe('refused')
    expect(standingOf(bob, undefined, 0)).toBe('unasked')
    // A clock that was set back makes nothing younger.
    expect(ageOf(remember(domain, undefined, { answer: { keys: [ann] }, now: holdsMs }), 0)).toBe('expired')
  })

  test('no answer keeps the last one until its time is over, and nobody asks again at once', () => {
    const failed = remember(domain, answered, { answer: { fault: 'timeout' }, now: freshMs })
    expect(standingOf(ann, failed, freshMs)).toBe('verified')
    expect(standingOf(ann, failed, holdsMs)).toBe('unanswered')
    expect([isDue(answered, 0), isDue(answered, freshMs)]).toEqual([false, true])
    expect([isDue(failed, freshMs), isDue(failed, freshMs + failedMs)]).toEqual([false, true])
    expect(isDue(undefined, 0)).toBe(true)
  })

  test('an answer without the key takes it away at once', () => {
    const gone = remember(domain, answered, { answer: { keys: [] }, now: freshMs })
    expect(standingOf(ann, gone, freshMs)).toBe('refused')
  })
})
