import type { Progress } from '../../node/services/api.ts'
import { shortPeer } from '../../protocol/peer-text.ts'
import { bytesText, countOf, safe } from './print.ts'
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
const REDRAW_MS = 500
/** What is left of a name at least */
const LEAST_HEAD = 12
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
    const { head, tail } = this.#format(progress)
    if (this.#out.isTTY) this.#out.write(`\r\u001b[K${fitted(head, tail, Math.max(1, this.#out.columns - 1))}`)
    else this.#out.write(`${head}${tail}\n`)
  }

  /** Leaves an empty line behind for what comes next. */
  end(): void {
    if (this.#isShown && this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #format(progress: Progress): { readonly head: string; readonly tail: string } {
    const { text, done, of, bytes, total } = progress
    const head = [safe(text)]
    if (done !== undefined && of !== undefined && of !== 1) head.push(`${done}/${of}`)
    const line = head.join('  ')
    const isComing = bytes !== undefined && total !== undefined
    return { head: line, tail: isComing ? `: ${comingText(progress, bytes, total)}` : '' }
  }
}

/** On one line: how much, how fast and from whom say more than the end of a long name. */
function fitted(head: string, tail: string, columns: number): string {
  const room = columns - tail.length
  const isCut = head.length > room && room > LEAST_HEAD
  return (isCut ? `${head.slice(0, room - 1)}…${tail}` : `${head}${tail}`).slice(0, columns)
}

/** `12.3 of 40.0 MiB, 8.1 MiB/s from 12D3…3fXk9QpZ (relay) and 2 others` */
function comingText({ bytesPerSecond, from }: Progress, bytes: number, total: number): string {
  const amount = ofText(bytesText(bytes), bytesText(total))
  if (bytesPerSecond === undefined) return amount
  const rate = `${bytesText(bytesPerSecond)}/s`
  if (from === undefined) return `${amount}, ${rate}`
  const others = from.others === 0 ? '' : ` and ${countOf(from.others, 'other')}`
  return `${amount}, ${rate} from ${safe(shortPeer(from.name))}${from.relayed ? ' (relay)' : ''}${others}`
}

/** One unit is enough where both have the same. */
function ofText(part: string, whole: string): string {
  const unit = whole.slice(whole.indexOf(' '))
  return `${part.endsWith(unit) ? part.slice(0, -unit.length) : part} of ${whole}`
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
