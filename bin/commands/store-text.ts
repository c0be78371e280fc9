import type { ApiMethods } from '../../node/services/api.ts'
import type { ScrubReport, StoredSpace } from '../../node/services/store/methods.ts'
import { bytesText, countOf, safe, table } from './print.ts'
import { gutter, nextStep, under } from './style.ts'

type Result<M extends keyof ApiMethods> = ApiMethods[M]['result']

export function statLines({ spaces, disk, readOnly, pins }: Result<'storeStat'>, now: number): readonly string[] {
  const broken = spaces.flatMap(space => space.broken)
  return [
    ...spaces.flatMap(space => [...(spaces.length > 1 ? [`Swarm ${space.swarm}`] : []), ...spaceLines(space, now)]),
    ...table([
      ['Pins     ', `${pins}, and what was installed or published here`],
      ['Disk     ', `${bytesText(disk.freeBytes)} free${readOnly ? ', nearly full or failing: read-only' : ''}`]
    ]),
    ...broken.map(root => gutter('Broken', root, 'bad')),
    ...(broken.length > 0 ? [nextStep('ggen-node store verify, while a node runs')] : [])
  ]
}

function spaceLines(space: StoredSpace, now: number): readonly string[] {
  const { blocks, bytes, deadBytes, roots, pinned, reclaimableBytes, quotaBytes, scrub } = space
  const percent = (ofBytes: number): number => Math.round(((bytes + deadBytes) / ofBytes) * 100)
  const room = quotaBytes === null ? 'no quota' : `${bytesText(quotaBytes)}, ${percent(quotaBytes)} % used`
  return table([
    ['Kept     ', `${countOf(roots, 'content')}, ${countOf(blocks, 'block')}, ${bytesText(bytes)}`],
    ['Pinned   ', `${countOf(pinned.roots, 'content')}, ${bytesText(pinned.bytes)}`],
    ['Could go ', bytesText(reclaimableBytes)],
    ...(deadBytes > 0 ? [['Deleted  ', `${bytesText(deadBytes)} that the disk does not have back yet`]] : []),
    ['Quota    ', room],
    ['Looked   ', scrub === null ? 'not yet at every block' : scrubText(scrub, now)]
  ])
}

function scrubText({ time, blocks, damaged, broken, repaired }: ScrubReport, now: number): string {
  const hours = Math.max(0, Math.round((now - time) / 3_600_000))
  const found = damaged + broken === 0 ? 'all whole' : `${damaged} damaged, ${repaired} of ${broken} contents repaired`
  return `at ${countOf(blocks, 'block')} ${hours === 0 ? 'within the hour' : `${countOf(hours, 'hour')} ago`}: ${found}`
}

export function pinnedLines({ what, roots, held, isNew }: Result<'storePin'>): readonly string[] {
  return [
    gutter(isNew ? 'Pinned' : 'Unchanged', `${safe(what)}  ${heldText(roots, held)}`, isNew ? 'done' : 'same'),
    ...(held < roots ? [under('what is missing is fetched while a node runs')] : [])
  ]
}

export function unpinnedLines({ what, roots }: Result<'storeUnpin'>): readonly string[] {
  return [
    gutter('Unpinned', `${safe(what)}  ${countOf(roots, 'content')}`),
    under('stays until room is needed; ggen-node store gc --all lets go of it now')
  ]
}

export function pinLines(pins: Result<'storePins'>): readonly string[] {
  if (pins.length === 0) return ['Nothing is pinned here']
  return table([
    ['PINNED', 'KIND', 'HELD', 'SWARM'],
    ...pins.map(({ what, type, roots, held, swarm }) => [safe(what), type, `${held} of ${roots}`, swarm])
  ])
}

export function collectedLines({ spaces, dryRun }: Result<'storeGc'>): readonly string[] {
  return spaces.flatMap(({ swarm, roots, blocks, bytes, left }) => [
    gutter(
      dryRun ? 'Would free' : 'Freed',
      `${bytesText(bytes)}  ${countOf(blocks, 'block')}${roots === 0 ? '' : ` of ${countOf(roots, 'content')} and of none`}`,
      blocks === 0 ? 'same' : 'done'
    ),
    under(`${spaces.length > 1 ? `${swarm}: ` : ''}${countOf(left.blocks, 'block')}, ${bytesText(left.bytes)} are here`)
  ])
}

export function verifiedLines({ spaces }: Result<'storeVerify'>): readonly string[] {
  return spaces.flatMap(({ swarm, blocks, bytes, damaged, broken, repaired, unrepaired }) => {
    const where = spaces.length > 1 ? `${swarm}: ` : ''
    const isBad = broken > repaired
    return [
      gutter('Verified', `${where}${countOf(blocks, 'block')}, ${bytesText(bytes)}`),
      ...(damaged + broken === 0
        ? []
        : [
            gutter('Damaged', `${countOf(damaged, 'block')}, ${countOf(broken, 'content')}`, isBad ? 'bad' : 'note'),
            gutter('Repaired', `${repaired} of ${countOf(broken, 'content')}`, isBad ? 'note' : 'done')
          ]),
      ...unrepaired.flatMap(({ root, name, version, reason }) => [
        gutter('Broken', name === null ? root : `${safe(name)}@${safe(version ?? '')}  ${root}`, 'bad'),
        under(safe(reason))
      ]),
      ...(isBad ? [nextStep('ggen-node start, ggen-node connect ADDRESS, and ggen-node store verify again')] : [])
    ]
  })
}

export function quotaLines({
  swarm,
  quotaBytes,
  usedBytes
}: {
  readonly swarm: string
  readonly quotaBytes: number | null
  readonly usedBytes: number
}): readonly string[] {
  const isOver = quotaBytes !== null && usedBytes > quotaBytes
  return [
    gutter('Quota', `${swarm}  ${quotaBytes === null ? 'none' : bytesText(quotaBytes)}, ${bytesText(usedBytes)} used`),
    ...(isOver ? [nextStep('ggen-node store gc lets go of what is not pinned')] : [])
  ]
}

function heldText(roots: number, held: number): string {
  return `${held} of ${countOf(roots, 'content')} here`
}
