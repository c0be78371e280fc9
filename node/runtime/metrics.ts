import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** The values each label may have: closed, so that no peer and no package can make a series of its own. */
export type LabelSets = Readonly<Record<string, readonly string[]>>

export type Labels<Sets extends LabelSets> = { readonly [Name in keyof Sets]: Sets[Name][number] }

/** One number that goes up, or up and down, for each combination of its labels. */
export interface Metric<Sets extends LabelSets> {
  add(labels: Labels<Sets>, by?: number): void
  set(labels: Labels<Sets>, value: number): void
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Series {
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; value: number }[]
}

/**
 * All numbers of one node. Every series exists, at nought, from the moment it is declared.
 * Names are `ggen_<what>_<unit>`, counters end in `_total`.
 */
export class Metrics {
  readonly #series = new Map<string, Series>()
  #count = 0

  counter<const Sets extends LabelSets>(name: string, help: string, labels: Sets): Metric<Sets> {
    return this.#declare(name, { help, type: 'counter' }, labels)
  }

  gauge<const Sets extends LabelSets>(name: string, help: string, labels: Sets): Metric<Sets> {
    return this.#declare(name, { help, type: 'gauge' }, labels)
  }

  samples(): readonly Sample[] {
    return [...this.#series].flatMap(([name, { samples }]) => samples.map(sample => ({ name, ...sample })))
  }

  /** The text format that Prometheus reads. */
  format(): string {
    const lines: string[] = []
    for (const [name, { help, type, samples }] of this.#series) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const { labels, value } of samples) {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text}"`)
        lines.push(`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`)
      }
    }
    return `${lines.join('\n')}\n`
  }

  #declare<Sets extends LabelSets>(name: string, { help, type }: Omit<Series, 'samples'>, sets: Sets): Metric<Sets> {
    const samples = combinations(sets).map(labels => ({ labels, value: 0 }))
    this.#count += samples.length
    if (!/^ggen_[a-z0-9_]+$/.test(name) || this.#series.has(name) || this.#count > LIMITS.metrics.series) {
      throw new RegistryError('INTERNAL', `the metric ${name} is misnamed, declared twice or one too many`)
    }
    this.#series.set(name, { help, type, samples })
    const names = Object.keys(sets)
    const sampleOf = (labels: Labels<Sets>) => {
      const found = samples.find(sample => names.every(label => sample.labels[label] === labels[label]))
      if (found === undefined) throw new RegistryError('INTERNAL', `the metric ${name} has no such labels`)
      return found
    }
    return {
      add: (labels, by = 1) => void (sampleOf(labels).value += by),
      set: (labels, value) => void (sampleOf(labels).value = value)
    }
  }
}

function combinations(sets: LabelSets): readonly Readonly<Record<string, string>>[] {
  let all: readonly Readonly<Record<string, string>>[] = [{}]
  for (const [name, values] of Object.entries(sets)) {
    all = all.flatMap(labels => values.map(value => ({ ...labels, [name]: value })))
  }
  return all
}
