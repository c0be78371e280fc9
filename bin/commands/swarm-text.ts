import type { ShownSwarm } from '../../node/services/swarm/methods.ts'
import { leftText, timeText } from './member-key.ts'
import { countOf, safe, table } from './print.ts'
import { gutter, nextStep, under } from './style.ts'

export function createdLines(made: ShownSwarm): readonly string[] {
  return [
    gutter('Created', `${made.alias}  ${made.registry}`),
    under(`private: a swarm of its own${made.psk ? ', behind a pre-shared key' : ''}`),
    ...hostLines(made),
    ...made.warnings.map(warning => gutter('Note', safe(warning), 'note')),
    nextStep(
      made.running
        ? `ggen-node invite --registry ${made.alias}`
        : `ggen-node start, then ggen-node invite --registry ${made.alias}`
    )
  ]
}

function hostLines({ running, addresses }: ShownSwarm): readonly string[] {
  if (!running) return [gutter('Waiting', 'its host starts with the node: ggen-node start', 'note')]
  if (addresses.length === 0) return [gutter('Listening', 'nowhere: its host only dials', 'note')]
  return addresses.map(address => gutter('Listening', address))
}

export function swarmLines(swarms: readonly ShownSwarm[], now: number): readonly string[] {
  if (swarms.length === 0) return ['No private swarm yet: ggen-node swarm create NAME, or ggen-node join TOKEN']
  return [
    ...table([
      ['SWARM', 'HOST', 'PEERS', 'EPOCH', 'CERTIFICATE', 'REGISTRY'],
      ...swarms.map(swarm => [
        swarm.name === swarm.alias ? swarm.name : `${swarm.name} (${swarm.alias})`,
        swarm.running ? 'running' : 'stopped',
        String(swarm.peers),
        `${swarm.epoch}${swarm.psk ? ', psk' : ''}`,
        certificateText(swarm, now),
        swarm.registry
      ])
    ]),
    ...swarmNotes(swarms, now)
  ]
}

function certificateText({ certificate }: ShownSwarm, now: number): string {
  return certificate === null ? 'none' : leftText(certificate.expires, now)
}

/** What a person should know of them, one line each. */
export function swarmNotes(swarms: readonly ShownSwarm[], now: number): readonly string[] {
  return swarms.flatMap(({ alias, overlapUntil, warnings }) => [
    ...warnings.map(warning => gutter('Note', `${alias}  ${safe(warning)}`, 'note')),
    ...(overlapUntil !== null && overlapUntil > now
      ? [gutter('Overlap', `${alias}  the secret before is good until ${timeText(overlapUntil)}`, 'same')]
      : [])
  ])
}

/** The rows of `status`; none where there is no private swarm. */
export function swarmRows(swarms: readonly ShownSwarm[], now: number): readonly (readonly string[])[] {
  return swarms.map(swarm => [
    'Swarm',
    `${swarm.alias}: ${swarm.running ? `running, ${countOf(swarm.peers, 'peer')}` : 'stopped'}, certificate ${certificateText(swarm, now)}`
  ])
}

export function rotatedLines(
  { alias, epoch, overlapUntil }: { readonly alias: string; readonly epoch: number; readonly overlapUntil: number },
  now: number
): readonly string[] {
  return [
    gutter('Rotated', `${alias}  epoch ${epoch}: members pass the new secret on to each other`),
    ...(overlapUntil > now
      ? [
          gutter('Overlap', `the one before is good until ${timeText(overlapUntil)}`, 'same'),
          under('a member that meets none of the others until then has to be invited again')
        ]
      : [gutter('Overlap', 'none: a member that is not connected now has to be invited again', 'note')])
  ]
}

/** A registry by its alias, with what is special about it. */
export function aliasText(
  { id, alias, isDefault }: { readonly id: string; readonly alias: string; readonly isDefault: boolean },
  swarms: readonly ShownSwarm[]
): string {
  const marks = [
    ...(isDefault ? ['default'] : []),
    ...(swarms.some(({ registry }) => (registry as string) === id) ? ['private'] : [])
  ]
  return marks.length === 0 ? alias : `${alias} (${marks.join(', ')})`
}
