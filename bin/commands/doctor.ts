import { RegistryError } from '../../protocol/errors.ts'
import { report } from './print.ts'
import { withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node doctor`: one line for each check; fails when any does. */
export async function doctor(session: Session, options: Options): Promise<void> {
  const deep = options['deep'] === true
  const findings = await withNode(session, { network: false }, client =>
    client.call('doctor', { deep }, { signal: session.signal })
  )
  const bad = findings.filter(finding => !finding.ok)
  if (bad.length > 0 && session.json) {
    throw new RegistryError('STORE_CORRUPT', `${bad.length} of ${findings.length} checks failed`, {
      tried: bad.map(({ check, text }) => `${check}: ${text}`)
    })
  }
  report(session, { findings }, () =>
    findings.flatMap(({ check, ok, text, next }) => [
      `${ok ? 'ok  ' : 'FAIL'} ${check}: ${text}`,
      ...(next === undefined ? [] : [`       next: ${next}`])
    ])
  )
  if (bad.length > 0) process.exitCode = 8
}
