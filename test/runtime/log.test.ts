import type { Helia } from '@helia/interface'
import type { ComponentLogger as Libp2pLogger } from '@libp2p/interface'
import { describe, expect, test } from 'vitest'
import { componentLogger } from '../../node/runtime/component-log.ts'
import { openLog, silentLog } from '../../node/runtime/log.ts'
import type { LogLevel } from '../../node/runtime/log.ts'
import { RegistryError } from '../../protocol/errors.ts'

async function recording(level: LogLevel) {
  const lines: string[] = []
  const log = await openLog({ level, write: line => void lines.push(line) })
  return { log, lines, parsed: () => lines.map(line => JSON.parse(line) as Record<string, unknown>) }
}

describe('the log', () => {
  test('writes one JSON object per line, at its level and above', async () => {
    const { log, lines, parsed } = await recording('info')
    log.debug({}, 'not this')
    log.child({ part: 'gate' }).info({ count: 2 }, 'two\nlines')
    expect(parsed()).toMatchObject([{ level: 'info', part: 'gate', count: 2, msg: 'two\nlines' }])
    expect(lines.join('').split('\n')).toHaveLength(2)
    expect([log.isEnabled('info'), log.isEnabled('debug'), log.isEnabled('silent')]).toEqual([true, false, false])
  })

  test('never writes what is called a secret, at the top or one level down', async () => {
    const { log, lines } = await recording('info')
    const value = 'c0ffee-c0ffee'
    log.info({ token: value, secret: value, passphrase: value, request: { authorization: value } }, 'hello')
    log.child({ privateKey: value }).info({}, 'hello')
    expect(lines.join('')).not.toContain(value)
    expect(lines.join('')).toContain('[redacted]')
  })

  test('writes an error as its code, its words and those of its causes', async () => {
    const { log, parsed } = await recording('error')
    const cause = new Error('disk on fire', { cause: new Error('heat') })
    log.error({ error: new RegistryError('STORE_CORRUPT', 'cannot read', { cause, detail: { key: 'a' } }) }, 'failed')
    const error = {
      code: 'STORE_CORRUPT',
      message: 'cannot read',
      causes: ['disk on fire', 'heat'],
      detail: { key: 'a' }
    }
    expect(parsed()[0]?.['error']).toEqual(error)
  })

  test('silent writes nothing and is nothing', async () => {
    const { log, lines } = await recording('silent')
    log.error({}, 'nobody hears')
    silentLog().child({}).error({}, 'nobody hears')
    expect(lines).toEqual([])
  })
})

describe('the logger for libraries', () => {
  test('is what libp2p and Helia ask for', async () => {
    const logger = componentLogger(silentLog())
    const forLibp2p: Libp2pLogger = logger
    const forHelia: Helia['logger'] = logger
    expect([forLibp2p.forComponent('a').enabled, forHelia.forComponent('a').enabled]).toEqual([false, false])
  })

  test('fills placeholders in order, keeps the component, and bounds what a stranger can make it say', async () => {
    const { log, parsed } = await recording('debug')
    const component = componentLogger(log).forComponent('libp2p:tcp').newScope('dial')
    component('100%% of %d to %p: %e', 3, { toString: () => '12D3Koo' }, new Error('refused'), 'extra')
    component.error('loud %s', 'x'.repeat(1e6))
    component.trace('not at this level')
    const [first, second, ...rest] = parsed()
    expect(first).toMatchObject({ component: 'libp2p:tcp:dial', msg: '100% of 3 to 12D3Koo: refused extra' })
    expect(second?.['level']).toBe('debug')
    expect(String(second?.['msg']).length).toBeLessThan(3_000)
    expect(rest).toEqual([])
  })

  test('survives arguments that cannot be printed', async () => {
    const { log, parsed } = await recording('debug')
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    componentLogger(log).forComponent('x')('%o %o', loop, Object.create(null))
    expect(String(parsed()[0]?.['msg'])).toContain('[unprintable]')
  })
})
