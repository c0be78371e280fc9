/** One measured figure, as one line of JSON. */
export interface Figure {
  readonly bench: string
  readonly value: number
  readonly unit: string
  /** What the same work costs on the road it is compared with, in the same unit and the same run. */
  readonly reference?: number
  /** value / reference. */
  readonly ratio?: number
  /** What the work was done on, where that can differ from run to run. */
  readonly input?: string
  /** Null: nothing is promised, the figure is there to be compared with later ones, and counts as met. */
  readonly target: string | null
  readonly met: boolean
}

export interface Measured {
  readonly bench: string
  readonly value: number
  readonly unit: string
  readonly reference?: number
  readonly input?: string
}

/** How often a time is measured at least: one slow run among five does not move the median. */
export const MIN_RUNS = 5

/** A figure that is good when it is below the limit; with `of: 'ratio'`, when value / reference is. */
export function below(measured: Measured, limit: number, of: 'value' | 'ratio' = 'value'): Figure {
  return judge(measured, { sign: '<=', limit, of })
}

/** A figure that is good when it is above the limit; with `of: 'ratio'`, when value / reference is. */
export function above(measured: Measured, limit: number, of: 'value' | 'ratio' = 'value'): Figure {
  return judge(measured, { sign: '>=', limit, of })
}

/** A figure that nothing is promised of. */
export function informative(measured: Measured): Figure {
  return { ...shown(measured), target: null, met: true }
}

interface Target {
  readonly sign: '<=' | '>='
  readonly limit: number
  readonly of: 'value' | 'ratio'
}

function judge(measured: Measured, { sign, limit, of }: Target): Figure {
  const { value, unit, reference } = measured
  const judged = of === 'value' ? value : reference === undefined ? Number.NaN : value / reference
  return {
    ...shown(measured),
    target: of === 'value' ? `${sign} ${limit} ${unit}` : `${sign} ${limit}x reference`,
    met: sign === '<=' ? judged <= limit : judged >= limit
  }
}

function shown({ bench, value, unit, reference, input }: Measured): Omit<Figure, 'target' | 'met'> {
  return {
    bench,
    value: round(value),
    unit,
    ...(reference === undefined ? {} : { reference: round(reference), ratio: round(value / reference) }),
    ...(input === undefined ? {} : { input })
  }
}

/** Four digits are more than any of these figures is good for. */
function round(value: number): number {
  return Number(value.toPrecision(4))
}

/** The middle value; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]
  if (upper === undefined || lower === undefined) throw new Error('nothing was measured')
  return (upper + lower) / 2
}

/** The smallest value that at least this share of all values does not exceed: `quantile(times, 0.99)`. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
  if (value === undefined) throw new Error('nothing was measured')
  return value
}

/**
 * The median time of a piece of work in milliseconds. The first run warms up and is not counted; `before` runs before
 * each and is not counted either.
 */
export async function medianMs(
  runs: number,
  work: () => Promise<unknown>,
  { before }: { readonly before?: () => Promise<unknown> } = {}
): Promise<number> {
  if (runs < MIN_RUNS) throw new Error(`a time is measured at least ${MIN_RUNS} times`)
  const times: number[] = []
  for (let run = 0; run <= runs; run++) {
    await before?.()
    const started = performance.now()
    await work()
    times.push(performance.now() - started)
  }
  return median(times.slice(1))
}
