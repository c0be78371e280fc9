import type { ApiMethods } from '../../node/services/api.ts'
import type { MirrorStatus, ShownMirror, SkippedRoot } from '../../node/services/store/mirror-methods.ts'
import { bytesText, countOf, safe, table } from './print.ts'
import { gutter, nextStep, under } from './style.ts'

type Result<M extends keyof ApiMethods> = ApiMethods[M]['result']

export function addedMirrorLines(added: Result<'mirrorAdd'>): readonly string[] {
  const { what, change, roots, held, leftOut } = added
  const verb = { new: 'Mirroring', changed: 'Changed', same: 'Unchanged' }[change]
  return [
    gutter(verb, `${safe(what)}  ${held} of ${countOf(roots, 'content')} here`, change === 'same' ? 'same' : 'done'),
    ...policyText(added).map(text => under(text)),
    ...(held < roots || roots + leftOut === 0 ? [under('what is missing is fetched while a node runs')] : []),
    ...(leftOut === 0
      ? []
      : [under(`the quota has no room for ${countOf(leftOut, 'content')}: ggen-node mirror status says which`)])
  ]
}

function policyText({ quotaBytes, factor }: Pick<ShownMirror, 'quotaBytes' | 'factor'>): readonly string[] {
  return [
    ...(quotaBytes === null ? [] : [`at most ${bytesText(quotaBytes)}, the latest releases first`]),
    ...(factor === null ? [] : [`${countOf(factor, 'node')} are to hold each content`])
  ]
}

export function removedMirrorLines({ what, roots }: Result<'mirrorRemove'>): readonly string[] {
  return [
    gutter('Removed', `${safe(what)}  ${countOf(roots, 'content')}`),
    under('stays until room is needed; ggen-node store gc --all lets go of it now')
  ]
}

export function mirrorLines(mirrors: Result<'mirrorList'>): readonly string[] {
  if (mirrors.length === 0) return ['Nothing is mirrored here: ggen-node mirror add ALIAS:']
  return table([
    ['MIRROR', 'QUOTA', 'FACTOR', 'SWARM'],
    ...mirrors.map(({ what, quotaBytes, factor, swarm }) => [
      safe(what),
      quotaBytes === null ? 'none' : bytesText(quotaBytes),
      factor === null ? 'none' : String(factor),
      swarm
    ])
  ])
}

export function mirrorStatusLines(mirrors: Result<'mirrorStatus'>): readonly string[] {
  if (mirrors.length === 0) return ['Nothing is mirrored here: ggen-node mirror add ALIAS:']
  return mirrors.flatMap(statusLines)
}

function statusLines(mirror: MirrorStatus): readonly string[] {
  const { what, wanted, held, missing, leftOut, leftOutRoots, providers, lagMs, caughtUp, failed, failedRoots } = mirror
  const named = ({ name, version }: { name: string; version: string }): string => `${safe(name)}@${safe(version)}`
  return [
    ...table([
      ['Mirror   ', [safe(what), ...policyText(mirror)].join(', ')],
      ['Wanted   ', amountText(wanted)],
      ['Held     ', amountText(held)],
      ['Missing  ', `${amountText(missing)}${lagMs === null ? '' : `, the longest for ${durationText(lagMs)}`}`],
      ...(leftOut.roots === 0
        ? []
        : [
            [
              'Left out ',
              `${amountText(leftOut)}: the quota has no room for ${leftOutRoots.slice(0, 3).map(named).join(', ')}${leftOut.roots > 3 ? ', …' : ''}`
            ]
          ]),
      ['Providers', providersText(providers)],
      ['Registry ', caughtUp ? 'compared with a peer since the start' : 'not compared with any peer since the start']
    ]),
    ...(providers === null
      ? []
      : providers.belowFactorRoots.map(root =>
          gutter('Too few', `${named(root)}  ${countOf(root.providers, 'provider')}`, 'note')
        )),
    ...failedRoots.slice(0, SHOWN).flatMap(failedLines),
    ...(failed.roots > SHOWN ? [under(`and ${countOf(failed.roots - SHOWN, 'content')} more, see --json`)] : [])
  ]
}

/** What a terminal shows of what failed: they mostly fail for one reason. */
const SHOWN = 3

function failedLines(failure: MirrorStatus['failedRoots'][number]): readonly string[] {
  const { code, reason, tried, next } = failure
  return [
    gutter('Failed', calledText(failure), 'bad'),
    under(`${code}: ${safe(reason)}`),
    ...tried.map(line => under(`tried: ${safe(line)}`)),
    ...(next === null ? [] : [under(`next: ${safe(next)}`)])
  ]
}

type Called = Pick<SkippedRoot, 'name' | 'registry' | 'root' | 'version'> & { readonly alias: string | null }

/** As people call a content, then its id; that alone where nothing is known to be made of it. */
function calledText({ registry, alias, name, version, root }: Called): string {
  if (name === null) return `${safe(alias ?? registry)}: ${root}`
  return `${safe(alias ?? registry)}:${safe(name)}${version === null ? '' : `@${safe(version)}`}  ${root}`
}

function providersText(providers: MirrorStatus['providers']): string {
  if (providers === null) return 'unknown: no node runs'
  const { min, median, belowFactor, lookedUp } = providers
  return `at least ${min}, median ${median}, too few for ${belowFactor}; the dht was asked about ${lookedUp}`
}

function amountText({ roots, bytes }: { readonly roots: number; readonly bytes: number }): string {
  return `${countOf(roots, 'content')}, ${bytesText(bytes)}`
}

function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes < 1) return 'less than a minute'
  return minutes < 120 ? countOf(minutes, 'minute') : countOf(Math.round(minutes / 60), 'hour')
}

export function exportedLines(done: Result<'mirrorExport'>): readonly string[] {
  const { file, bytes, facts, roots, before, missing, skipped } = done
  return [
    gutter('Wrote', `${file}  ${bytesText(bytes)}`),
    gutter('Holds', `${countOf(facts, 'statement')}, ${countOf(roots, 'content')}`),
    ...(before === 0 ? [] : [under(`${countOf(before, 'content')} of earlier exports left out`)]),
    ...skippedLines(missing, skipped),
    nextStep(`ggen-node mirror import FILE --id ${done.registry}`)
  ]
}

export function importedLines(done: Result<'mirrorImport'>): readonly string[] {
  const { registry, alias, isNew, facts, waiting, roots, known, left, skipped } = done
  return [
    gutter(isNew ? 'Following' : 'Read', `${alias}  ${registry}`),
    gutter('Verified', `${countOf(facts, 'new statement')}, ${countOf(roots, 'new content')}, ${known} here before`),
    ...(waiting === 0
      ? []
      : [gutter('Waiting', `${countOf(waiting, 'statement')} for others that are not in it`, 'note')]),
    ...skippedLines(left, skipped),
    nextStep(`ggen-node mirror add ${alias}: keeps its bytes, whatever room is needed`)
  ]
}

function skippedLines(count: number, skipped: readonly SkippedRoot[]): readonly string[] {
  return [
    ...skipped.flatMap(content => [gutter('Left out', calledText(content), 'note'), under(safe(content.reason))]),
    ...(count > skipped.length ? [under(`and ${count - skipped.length} more`)] : [])
  ]
}
