import type { Needle, Thing } from './needles.ts'
import { needlesOf } from './needles.ts'
import { readRecording } from './recording.ts'
import type { Received } from './recording.ts'
import { Scanner } from './scanner.ts'
import { sift } from './sift.ts'

/** A private thing that somebody was told. */
export interface Finding {
  readonly kind: Thing['kind']
  readonly label: string
  readonly spelling: string
  /** The connection, and the stream in it. */
  readonly where: string
  readonly at: number
}

export interface ScanOptions {
  /** Only what came from then on, and before then. */
  readonly since?: number
  readonly until?: number
  /** Nothing that came from these peers: what one witness says to another is no leak of the node's. */
  readonly exceptFrom?: readonly string[]
}

/** Looks through recordings for private things. */
export class Detector {
  readonly #scanner: Scanner

  constructor(things: readonly Thing[]) {
    const needles: readonly Needle[] = needlesOf(things)
    this.#scanner = new Scanner(needles)
  }

  async read(path: string, options: ScanOptions = {}): Promise<readonly Finding[]> {
    return this.find(await readRecording(path), options)
  }

  /** Each thing once for each place where it was told. */
  find(
    received: readonly Received[],
    { since = 0, until = Number.POSITIVE_INFINITY, exceptFrom = [] }: ScanOptions = {}
  ): readonly Finding[] {
    const findings = new Map<string, Finding>()
    for (const { name, channel, pieces } of sift(received)) {
      if (exceptFrom.some(peer => channel.endsWith(` ${peer}`))) continue
      const scan = this.#scanner.stream()
      for (const { at, bytes } of pieces) {
        for (const { needle } of scan(bytes)) {
          const { kind, label } = needle.thing
          const finding: Finding = { kind, label, spelling: needle.spelling, where: name, at }
          const key = `${kind} ${label} ${name}`
          if (at >= since && at < until && !findings.has(key)) findings.set(key, finding)
        }
      }
    }
    return [...findings.values()]
  }
}

/** Findings as lines for people. */
export function told(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ kind, label, spelling, where }) => `${kind} ${label} (${spelling}) on ${where}`)
}
