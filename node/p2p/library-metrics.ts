import type { Metrics } from '@libp2p/interface'
import { LIMITS } from '../../protocol/limits.ts'

type Kind = 'counter' | 'gauge' | 'summary'
type Given = Readonly<Record<string, number | true | undefined>>

interface Series {
  readonly kind: Kind
  readonly help: string
  readonly label: string
  readonly values: Map<string, number>
  /** Of a summary: how many values were added up. */
  readonly counts: Map<string, number>
  /** Asked when the numbers are read. */
  calculate: (() => unknown) | undefined
}

interface Options {
  readonly help?: string
  readonly label?: string
  readonly calculate?: () => unknown
}

/** One number of a library, as it stands. */
export interface LibrarySample {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  readonly label: string
  readonly value: string
  readonly sum: number
  readonly count: number
}

/**
 * What libp2p and Helia count of themselves, in one host. They name their series and labels as they like, so both are
 * bounded here, and nothing that could tell a peer, an address or a private swarm gets into a label.
 */
export class LibraryNumbers {
  readonly #series = new Map<string, Series>()

  /** As libp2p wants it. Traces and streams are not followed: sockets and streams are counted elsewhere. */
  get metrics(): Metrics {
    const single =
      (kind: Kind) =>
      (name: string, options: Options = {}) =>
        this.#single(this.#declare(kind, name, options))
    const group =
      (kind: Kind) =>
      (name: string, options: Options = {}) =>
        this.#group(this.#declare(kind, name, options))
    const metrics = {
      trackMultiaddrConnection: () => {},
      trackProtocolStream: () => {},
      registerMetric: single('gauge'),
      registerMetricGroup: group('gauge'),
      registerCounter: single('counter'),
      registerCounterGroup: group('counter'),
      registerHistogram: single('summary'),
      registerHistogramGroup: group('summary'),
      registerSummary: single('summary'),
      registerSummaryGroup: group('summary'),
      traceFunction: (_name: string, traced: unknown) => traced,
      createTrace: () => undefined
    }
    return metrics as Metrics
  }

  async samples(): Promise<readonly LibrarySample[]> {
    const samples: LibrarySample[] = []
    for (const [name, { kind, help, label, values, counts, calculate }] of this.#series) {
      if (calculate !== undefined) await take(values, calculate)
      for (const [value, sum] of values)
        samples.push({ name, kind, help, label, value, sum, count: counts.get(value) ?? 0 })
    }
    return samples
  }

  #declare(kind: Kind, name: string, { help = '', label = 'kind', calculate }: Options): Series {
    const known = this.#series.get(name)
    const fresh: Series = {
      kind,
      help: help.replaceAll(/[^\x20-\x7e]|\\/g, ' '),
      label: /^[a-z_]{1,40}$/.test(label) && label !== 'swarm' ? label : 'kind',
      values: new Map(),
      counts: new Map(),
      calculate
    }
    // A service that is made again goes on with its series.
    if (known?.kind === kind) {
      known.calculate = calculate
      return known
    }
    const isFine = /^(?:libp2p|helia)_[a-z0-9_]{1,120}$/.test(name) && known === undefined
    if (isFine && this.#series.size < LIMITS.metrics.librarySeries) this.#series.set(name, fresh)
    return fresh
  }

  #single(series: Series) {
    const add = (by: number): void => addTo(series, '', by)
    const set = (value: number): void => setIn(series.values, '', value)
    return {
      update: set,
      increment: (by = 1) => add(by),
      decrement: (by = 1) => add(-by),
      observe: (value: number) => add(value),
      reset: () => set(0),
      timer: () => timed(seconds => (series.kind === 'summary' ? add(seconds) : set(seconds)))
    }
  }

  #group(series: Series) {
    const each = (given: Given, task: (value: string, by: number) => void): void => {
      for (const [value, by] of Object.entries(given)) if (by !== undefined) task(value, by === true ? 1 : by)
    }
    return {
      update: (given: Given) => each(given, (value, by) => setIn(series.values, value, by)),
      increment: (given: Given) => each(given, (value, by) => addTo(series, value, by)),
      decrement: (given: Given) => each(given, (value, by) => addTo(series, value, -by)),
      observe: (given: Given) => each(given, (value, by) => addTo(series, value, by)),
      reset: () => series.values.clear(),
      timer: (value: string) =>
        timed(seconds =>
          series.kind === 'summary' ? addTo(series, value, seconds) : setIn(series.values, value, seconds)
        )
    }
  }
}

/** What the hosts of one kind count, added up, in the text format of Prometheus. */
export function formatLibraries(
  hosts: readonly (readonly [kind: string, samples: readonly LibrarySample[]])[]
): string {
  const heads = new Map<string, string>()
  const lines = new Map<string, Map<string, number>>()
  for (const [swarm, samples] of hosts) {
    for (const { name, kind, help, label, value, sum, count } of samples) {
      heads.set(name, `# HELP ${name} ${help}\n# TYPE ${name} ${kind}`)
      const own = lines.get(name) ?? new Map<string, number>()
      lines.set(name, own)
      const labels = `{swarm="${swarm}"${value === '' ? '' : `,${label}="${value}"`}}`
      const add = (key: string, by: number): void => void own.set(key, (own.get(key) ?? 0) + by)
      if (kind === 'summary') {
        add(`${name}_sum${labels}`, sum)
        add(`${name}_count${labels}`, count)
      } else add(`${name}${labels}`, sum)
    }
  }
  return [...lines]
    .map(([name, own]) => `${heads.get(name) ?? ''}\n${[...own].map(([key, sum]) => `${key} ${sum}`).join('\n')}\n`)
    .join('')
}

async function take(values: Map<string, number>, calculate: () => unknown): Promise<void> {
  let given: unknown
  try {
    given = await calculate()
  } catch {
    // A service that is just stopping has no numbers.
    return
  }
  values.clear()
  if (typeof given === 'number') setIn(values, '', given)
  else if (typeof given === 'object' && given !== null) {
    for (const [value, number] of Object.entries(given)) if (typeof number === 'number') setIn(values, value, number)
  }
}

function addTo({ kind, values, counts }: Series, value: string, by: number): void {
  const key = keyIn(values, value)
  if (Number.isFinite(by)) values.set(key, (values.get(key) ?? 0) + by)
  if (kind === 'summary') counts.set(key, (counts.get(key) ?? 0) + 1)
}

function setIn(values: Map<string, number>, value: string, to: number): void {
  if (Number.isFinite(to)) values.set(keyIn(values, value), to)
}

/**
 * What a label says, or that it says something else. Attack: a peer that names a protocol after a peer id, or a private swarm
 * whose protocols carry its secret name, and whoever reads the numbers learns it.
 */
function keyIn(values: ReadonlyMap<string, number>, value: string): string {
  const isTelling = /[A-Za-z0-9]{17,}|:|\d+\.\d+\.\d+\.\d+|[^A-Za-z0-9_./ -]/.test(value) || value.length > 64
  const key = isTelling ? 'other' : value
  return values.has(key) || values.size < LIMITS.metrics.labelValues ? key : 'other'
}

function timed(done: (seconds: number) => void): () => void {
  const from = performance.now()
  return () => done((performance.now() - from) / 1_000)
}
