import type { ApiMethods } from '../../node/services/api.ts'
import type { TraceSource, TraceStage, TraceTimes } from '../../protocol/trace-record.ts'
import { TRACE_STAGES } from '../../protocol/trace-record.ts'
import { bytesText, countOf, report, safe, table } from './print.ts'
import { argument, withNode } from './run.ts'
import type { Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

type Traced = ApiMethods['trace']['result']

/** `ggen-node trace REF`. */
export async function trace(session: Session, args: readonly string[]): Promise<void> {
  const reference = argument(args, 0)
  const traced = await withNode(session, { network: false }, client =>
    client.call('trace', { reference }, { signal: session.signal })
  )
  report(session, traced, () => traceLines(traced, Date.now()))
}

const STAGES: Readonly<Record<TraceStage, string>> = {
  resolve: 'choosing the version',
  find: 'finding somebody to ask',
  lookup: 'asking the DHT',
  firstByte: 'the first block',
  transfer: 'the rest, verified as it came',
  store: 'storing the last of it',
  flush: 'making it durable',
  write: 'writing it into the project'
}

export function traceLines(traced: Traced, now: number): readonly string[] {
  const { root, ended, failed, sources, times, tried } = traced
  const head = failed === null ? gutter('Traced', nameText(traced)) : gutter('Failed', nameText(traced), 'bad')
  return [
    head,
    under(root),
    under(
      ended === null
        ? 'no fetch of it is remembered: it was published here, restored, or came long ago'
        : endText(ended, failed, now)
    ),
    ...sourceLines(sources),
    ...stageLines(times),
    ...tried.map(line => under(`tried: ${safe(line)}`)),
    ...(failed === null ? [] : [nextStep(`ggen-node install ${safe(shortText(traced))} tries again`)])
  ]
}

function endText(ended: number, failed: string | null, now: number): string {
  const when = `${new Date(ended).toISOString()}, ${agoText(Math.max(0, now - ended))}`
  return failed === null ? `all of it was here at ${when}` : `given up at ${when}: ${failed}`
}

function agoText(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 120) return `${countOf(minutes, 'minute')} ago`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${countOf(hours, 'hour')} ago` : `${countOf(Math.round(hours / 24), 'day')} ago`
}

function sourceLines(sources: readonly TraceSource[]): readonly string[] {
  const rows = sources.map(source => [bytesText(source.bytes), countOf(source.blocks, 'block'), sourceText(source)])
  return rows.length === 0 ? [] : table([['BYTES', 'BLOCKS', 'FROM'], ...rows]).map(under)
}

function sourceText({ way, from }: TraceSource): string {
  switch (way) {
    case 'disk':
      return 'this disk'
    case 'dag':
      return `${safe(from ?? 'other peers')}  in one stream`
    case 'bitswap':
      return `${safe(from ?? 'other peers')}  over bitswap`
    case 'gateway':
      return `${safe(from ?? 'other gateways')}  over http`
  }
}

function stageLines(times: TraceTimes): readonly string[] {
  const rows = TRACE_STAGES.flatMap(stage => {
    const ms = times[stage]
    return ms === null ? [] : [[`${ms} ms`, STAGES[stage]]]
  })
  return rows.length === 0 ? [] : table([['TIME', 'FOR'], ...rows]).map(under)
}

function nameText(traced: Traced): string {
  return safe(`${shortText(traced)}${traced.swarm === 'public' ? '' : `  in swarm ${traced.swarm}`}`)
}

function shortText({ alias, name, version, root }: Traced): string {
  if (name === null) return root
  return `${alias === null ? '' : `${alias}:`}${name}${version === null ? '' : `@${version}`}`
}
