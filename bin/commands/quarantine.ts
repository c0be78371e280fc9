import type { Filed } from '../../node/services/authority/methods.ts'
import type { QuarantineResult } from '../../node/services/quarantine.ts'
import { report } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, neededLines, signingParams } from './signed.ts'
import { gutter } from './style.ts'

/** `ggen-node quarantine`. */
export async function quarantine(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    ...signingParams(options),
    reference: argument(args, 0),
    reason: textOption(options, 'reason') ?? ''
  }
  const result = await withNode(session, { network: false }, client => client.call('quarantine', params))
  report(session, result, () => [
    gutter(result.fact === null ? 'Unchanged' : 'Stopped', `${nameOf(result)}  its bytes stay, and are sent to nobody`),
    ...restOf(result)
  ])
}

/** `ggen-node unquarantine`. */
export async function unquarantine(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...signingParams(options), reference: argument(args, 0) }
  const result = await withNode(session, { network: false }, client => client.call('unquarantine', params))
  const still = result.quarantined && result.awaiting === null ? '  somebody else has stopped it, too' : ''
  report(session, result, () => [
    gutter(result.fact === null ? 'Unchanged' : 'Lifted', `${nameOf(result)}${still}`),
    ...restOf(result)
  ])
}

/** The file beside it, and who must still sign. */
function restOf({ awaiting, file }: QuarantineResult & Filed): readonly string[] {
  return [...fileLines(file), ...neededLines(awaiting === null ? [] : [awaiting], file)]
}

function nameOf({ name, version }: QuarantineResult): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}
