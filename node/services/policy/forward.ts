import { shortNameOf } from '../../../protocol/package-name.ts'
import type { ReleaseVerdict, RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import type { AttestationFacts, ReleaseFacts } from '../../../protocol/policy/schema.ts'
import type { Candidate } from './candidate.ts'
import type { Judged, Judgement } from './judge.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** Nobody is told to wait for longer than this. */
const LONGEST_WAIT_HOURS = 90 * 24

/** What would make a rule hold. */
interface WhatIf {
  readonly facts: ReleaseFacts
  readonly text: string
}

/** What holds of the whole of what a rule reads: alike for all packages of which it reads the same. */
type Change = string | undefined

/**
 * Ways past the rules that refuse releases, each looked for once: it takes many judgements, and a thousand packages that came on one
 * day are refused for one reason.
 */
export class Ways {
  readonly #judgement: Judgement
  readonly #now: number
  readonly #changes = new Map<string, Change>()
  readonly #others = new Map<Candidate, ReturnType<Judgement['another']>>()

  constructor(judgement: Judgement, now: number) {
    this.#judgement = judgement
    this.#now = now
  }

  /**
   * The cheapest way past one rule that refuses a release: another version that passes, or what least has to be otherwise for it to hold. Found by
   * asking the rule itself, so that it is true of rules that anybody writes. Undefined when nothing that was tried would do.
   */
  async forward(judged: Judged, rule: RuleVerdict): Promise<string | undefined> {
    const other = await this.#another(judged.candidate)
    const instead = other === undefined ? undefined : `take ${nameOf(judged)}@${other}, which passes`
    return [instead, this.#change(judged, rule)].filter(text => text !== undefined).join('; or ') || undefined
  }

  #another(candidate: Candidate): ReturnType<Judgement['another']> {
    const known = this.#others.get(candidate) ?? this.#judgement.another(candidate)
    this.#others.set(candidate, known)
    return known
  }

  #change({ candidate, facts }: Judged, { code, policy, facts: read }: RuleVerdict): Change {
    // As they are, not as texts, which are cut. The key of the publisher is named in what is said.
    const seen = read.map(({ name }) => valueAt(facts, name))
    const key = JSON.stringify([policy, code, candidate.registry, facts.publisher.key, seen])
    if (this.#changes.has(key)) return this.#changes.get(key)
    const holds = (other: ReleaseFacts): boolean => passes(this.#judgement.asIf(candidate, other), { code, policy })
    const change = waiting(facts, holds, this.#now) ?? whatIfs(facts).find(one => holds(one.facts))?.text
    this.#changes.set(key, change)
    return change
  }
}

/** `age.hours`, or all of `attestations`. */
function valueAt(facts: ReleaseFacts, path: string): unknown {
  const [group = '', field] = path.split('.')
  const all: unknown = Object.entries(facts).find(([name]) => name === group)?.[1]
  return field === undefined ? all : Object.entries(Object(all) as object).find(([name]) => name === field)?.[1]
}

function passes({ rules }: ReleaseVerdict, { code, policy }: Pick<RuleVerdict, 'code' | 'policy'>): boolean {
  const verdict = rules.find(rule => rule.code === code && rule.policy === policy)
  return verdict?.outcome === 'passed' || verdict?.outcome === 'skipped'
}

/** Time costs nothing but time: how much of it, to the hour. */
function waiting(facts: ReleaseFacts, holds: (facts: ReleaseFacts) => boolean, now: number): string | undefined {
  const { hours, seenHours } = facts.age
  const at = (after: number): ReleaseFacts => ({
    ...facts,
    age: { ...facts.age, hours: hours + after, seenHours: seenHours + after }
  })
  if (!holds(at(LONGEST_WAIT_HOURS)) || holds(at(0))) return undefined
  let [low, high] = [0, LONGEST_WAIT_HOURS]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (holds(at(middle))) high = middle
    else low = middle
  }
  const day = new Date(now + high * HOUR_MS).toISOString().slice(0, 16).replace('T', ' ')
  return `wait until ${day} UTC (${high} h)`
}

/** Other things that could be otherwise, the cheapest first. */
function whatIfs(facts: ReleaseFacts): readonly WhatIf[] {
  const { marks, publisher } = facts
  const statement = (type: string): WhatIf => ({
    facts: { ...facts, attestations: [favourable(type, facts), ...facts.attestations] },
    text: `somebody who is followed here states a favourable ${type} about it`
  })
  const two: WhatIf = {
    // In front: what lies beyond the entries that a rule sees would help nobody.
    facts: {
      ...facts,
      attestations: [favourable('audit', facts), favourable('audit', facts, 'another'), ...facts.attestations]
    },
    text: 'two auditors who are followed here pass it'
  }
  const unsaid: WhatIf = {
    facts: { ...facts, attestations: facts.attestations.filter(({ marks }) => !marks.includes('failed')) },
    text: 'take a version that no auditor who is followed has found to be bad, or he who did finds otherwise'
  }
  return [
    ...['provenance', 'sbom', 'audit', 'licence', 'vulnerabilities', 'test', 'review'].map(statement),
    two,
    unsaid,
    {
      facts: { ...facts, publisher: { ...publisher, verified: true } },
      text: 'its publisher binds the key to a domain'
    },
    {
      facts: { ...facts, marks: { ...marks, downgrades: [] } },
      text: `make sure with its publisher that ${publisher.key} may sign for it, then make an exception`
    },
    {
      facts: { ...facts, marks: { ...marks, conflict: false } },
      text: 'its owners settle which content is meant: ggen-node conflict list'
    },
    {
      facts: { ...facts, marks: { ...marks, counts: true } },
      text: 'ggen-node update resolves anew, to one that counts'
    },
    {
      facts: { ...facts, marks: { ...marks, yanked: false } },
      text: 'take another version, or its owners take the yank back'
    },
    { facts: { ...facts, quarantine: { active: false, reason: '' } }, text: 'whoever put it in quarantine ends that' },
    { facts: { ...facts, advisories: [] }, text: 'take a version that is not affected' }
  ]
}

function favourable(type: string, { registry }: ReleaseFacts, issuer = 'somebody'): AttestationFacts {
  const marks = ['safe-to-run', 'safe-to-deploy']
  return { type, predicateType: '', issuer, registry: registry.id, followed: true, passed: true, marks, summary: '' }
}

/** How to type a release: `acme:left-pad@1.0.0`. */
export function referenceOf(judged: Judged): string {
  return `${nameOf(judged)}@${judged.candidate.version}`
}

function nameOf({ candidate, facts }: Judged): string {
  return `${facts.registry.alias}:${shortNameOf(candidate.name)}`
}

/** The command that makes an exception from one rule, for a week. */
export function exceptionCommand(judged: Judged, { code }: RuleVerdict, now: number): string {
  const until = new Date(now + 7 * DAY_MS).toISOString().slice(0, 10)
  return `--allow ${code} ${referenceOf(judged)} --until ${until} --reason WHY`
}

/** How an exception from one rule comes about. From the rules of a registry nobody here makes one with a key of this node. */
export function exceptionWay(judged: Judged, rule: RuleVerdict, { policies }: Judgement, now: number): string {
  const loaded = policies.find(({ name }) => name === rule.policy)
  if (loaded?.isLocal !== false) return exceptionCommand(judged, rule, now)
  return loaded.policy.exceptionKeys.length === 0
    ? `its owners make an exception: the policy of the ${rule.policy} names nobody else who may`
    : `${loaded.policy.exceptionKeys.join(' or ')} makes an exception`
}

/** The releases that are refused. */
export function refusals({ judged }: Judgement): readonly Judged[] {
  return judged.filter(({ verdict }) => verdict === 'deny')
}
