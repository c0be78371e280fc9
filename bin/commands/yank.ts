import type { Filed } from '../../node/services/authority/methods.ts'
import type { YankResult } from '../../node/services/yank.ts'
import { report } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, neededLines, signingParams } from './signed.ts'
import { gutter } from './style.ts'

/** `ggen-node yank`. */
export async function yank(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    ...signingParams(options),
    reference: argument(args, 0),
    reason: textOption(options, 'reason') ?? ''
  }
  const result = await withNode(session, { network: false }, client => client.call('yank', params))
  report(session, result, () => [
    gutter(result.fact === null ? 'Unchanged' : 'Yanked', `${nameOf(result)}  installs by lockfile go on`),
    ...restOf(result)
  ])
}

/** `ggen-node unyank`. */
export async function unyank(session: Session, args: readonly string[], options: Options): Promise<void> {
  const result = await withNode(session, { network: false }, client =>
    client.call('unyank', { ...signingParams(options), reference: argument(args, 0) })
  )
  report(session, result, () => [
    gutter(result.fact === null ? 'Unchanged' : 'Unyanked', nameOf(result)),
    ...restOf(result)
  ])
}

/** The file beside it, and who must still sign. */
function restOf({ awaiting, file }: YankResult & Filed): readonly string[] {
  return [...fileLines(file), ...neededLines(awaiting === null ? [] : [awaiting], file)]
}

function nameOf({ name, version }: YankResult): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}
