import { examine } from '../../node/examine.ts'
import { ERROR_CODES } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { print, printJson, safe } from './print.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node doctor`: one line for each check, and what to do; fails when any does. */
export async function doctor(session: Session, options: Options): Promise<void> {
  const findings = await examine(session.home, { deep: options['deep'] === true, signal: session.signal })
  const bad = findings.filter(finding => !finding.ok)
  // Damage to what is stored has its own code: a script may want to act on that alone.
  const isDamage = bad.some(({ check }) => /^(?:store|facts|views|blocks|open)\b/.test(check))
  const code: ErrorCode = isDamage ? 'STORE_CORRUPT' : 'UNHEALTHY'
  if (session.json) {
    const message = `${bad.length} of ${findings.length} checks failed`
    const tried = bad.map(({ check, text }) => `${check}: ${text}`)
    const next = bad.find(finding => finding.next !== undefined)?.next ?? 'ggen-node doctor'
    const failure = { ok: false, error: { code, message, tried, next, detail: {} }, findings }
    printJson(bad.length === 0 ? { ok: true, findings } : failure)
  } else {
    for (const { check, ok, text, next } of findings) {
      print(`${ok ? 'ok  ' : 'FAIL'} ${check}: ${safe(text)}`)
      if (next !== undefined) print(`       next: ${safe(next)}`)
    }
  }
  if (bad.length > 0) process.exitCode = ERROR_CODES[code].exit
}
