import type { Progress } from '../../node/services/api.ts'
import { bytesText, safe } from './print.ts'
import type { Voice } from './print.ts'

/** Where progress is written, and the time it goes by. */
export interface ProgressOutput {
  readonly isTTY: boolean
  readonly columns: number
  write(text: string): void
  now(): number
}

/** Nothing that is quicker than this shows any progress. */
const PATIENCE_MS = 500
const REDRAW_MS = 100
/** Into a log file goes a line now and then. */
const LOG_LINE_MS = 5_000

/**
 * Progress of one long call on standard error: one line that redraws itself on a terminal, a line now and then into a
 * log, nothing with `--json` and nothing for what is done in half a second.
 */
export class ProgressLine {
  readonly #out: ProgressOutput
  readonly #isSilent: boolean
  readonly #started: number
  #last: number
  #isShown = false

  constructor(voice: Voice, out: ProgressOutput = standardError()) {
    this.#out = out
    this.#isSilent = voice.json
    this.#started = out.now()
    this.#last = this.#started
  }

  readonly onProgress = (progress: Progress): void => {
    const now = this.#out.now()
    if (this.#isSilent || now - this.#started < PATIENCE_MS) return
    const pause = this.#out.isTTY ? REDRAW_MS : LOG_LINE_MS
    if (this.#isShown && now - this.#last < pause) return
    this.#last = now
    this.#isShown = true
    const text = this.#format(progress, now - this.#started)
    if (this.#out.isTTY) this.#out.write(`\r\u001b[K${text.slice(0, Math.max(1, this.#out.columns - 1))}`)
    else this.#out.write(`${text}\n`)
  }

  /** Leaves an empty line behind for what comes next. */
  end(): void {
    if (this.#isShown && this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #format({ text, done, of, bytes, peers }: Progress, elapsedMs: number): string {
    const parts = [safe(text)]
    if (done !== undefined && of !== undefined) parts.push(`${done}/${of}`)
    if (bytes !== undefined)
      parts.push(`${bytesText(bytes)} at ${bytesText((bytes * 1000) / Math.max(1, elapsedMs))}/s`)
    if (peers !== undefined) parts.push(`from ${peers} ${peers === 1 ? 'peer' : 'peers'}`)
    return parts.join('  ')
  }
}

function standardError(): ProgressOutput {
  const { stderr } = process
  return {
    isTTY: stderr.isTTY,
    columns: stderr.columns,
    write: text => void stderr.write(text),
    now: () => performance.now()
  }
}
