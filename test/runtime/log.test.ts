import { describe, expect, test } from 'vitest'
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
