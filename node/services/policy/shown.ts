import { exceptionWay, referenceOf } from './forward.ts'
import type { Ways } from './forward.ts'
import type { Judged, Judgement } from './judge.ts'
import type { ShownRule, ShownVerdict } from './methods.ts'

export interface Showing {
  readonly judgement: Judgement
  readonly ways: Ways
  readonly now: number
  /** Which rules are told of. */
  readonly isShown: (rule: Pick<ShownRule, 'outcome'>) => boolean
}

/** A verdict for programs: each rule by its code, what it read, and the cheapest way past those that refuse or warn. */
export async function shownVerdict(judged: Judged, showing: Showing): Promise<ShownVerdict> {
  const { judgement, ways, now, isShown } = showing
  const { registry, name, version } = judged.candidate
  const rules: ShownRule[] = []
  for (const rule of judged.rules.filter(isShown)) {
    const isRefused = rule.outcome === 'deny'
    const way = isRefused || rule.outcome === 'warn' ? await ways.forward(judged, rule) : undefined
    const exception = isRefused ? exceptionWay(judged, rule, judgement, now) : undefined
    const command = exception?.startsWith('--') === true ? `ggen-node install ${exception}` : exception
    const all = [way, command].filter(text => text !== undefined)
    // What a rule read is put into words when it is asked for, and a spread copies the words.
    rules.push({ ...rule, forward: all.length === 0 ? null : all.join('; or ') })
  }
  return { reference: referenceOf(judged), registry, name, version, verdict: judged.verdict, rules }
}
