import type { ApiMethods } from '../../node/services/api.ts'
import type { Trusted } from '../../node/services/attest/methods.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { report, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter } from './style.ts'

/** `ggen-node trust add`. */
export async function add(session: Session, args: readonly string[], options: Options): Promise<void> {
  const result = await withNode(session, { network: false }, client => client.call('trustAdd', paramsOf(args, options)))
  report(session, result, () => [
    gutter(result.isNew ? 'Trusted' : 'Unchanged', textOf(result), result.isNew ? 'done' : 'same')
  ])
}

/** `ggen-node trust remove`. */
export async function remove(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = paramsOf(args, options)
  const result = await withNode(session, { network: false }, client => client.call('trustRemove', params))
  report(session, result, () => [
    gutter(result.wasThere ? 'Removed' : 'Unchanged', textOf(result), result.wasThere ? 'done' : 'same')
  ])
}

/** `ggen-node trust list`. */
export async function list(session: Session): Promise<void> {
  const trusted = await withNode(session, { network: false }, client => client.call('trustList', {}))
  report(session, { trusted }, () =>
    trusted.length === 0
      ? [gutter('Nobody', 'is trusted beyond what each registry says of itself', 'same')]
      : trusted.map(trustedLine)
  )
}

export function trustedLine(one: ApiMethods['trustList']['result'][number]): string {
  return gutter('Trusted', textOf(one, one.publisher === null ? [] : [one.publisher]))
}

function paramsOf(args: readonly string[], options: Options): { what: string; purpose: string } {
  return { what: argument(args, 0), purpose: textOption(options, 'for') ?? 'audits' }
}

function textOf({ who, alias, purpose }: Trusted, publishers: readonly NamedKey[] = []): string {
  return `${alias === null ? keyText(who, publishers) : `${safe(alias)} (${who})`} for ${purpose}`
}
