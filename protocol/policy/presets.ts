import type { Rule } from './rule.ts'

interface PresetRule extends Pick<Rule, 'id' | 'message' | 'require'> {
  readonly action?: Rule['action']
  readonly when?: string | undefined
}

/** What a policy may say of a preset beside its name: numbers that no two organisations have alike. */
export interface PresetParameters {
  /** Of `strict`: how many of the auditors who are followed must have passed a release. */
  readonly auditors: number
  /** For how many whole hours a registry may not have been compared with anybody before what is seen of it is called stale. */
  readonly staleHours: number
}

export const PARAMETERS: PresetParameters = { auditors: 2, staleHours: 24 }

function auditorsRequired(count: number): string {
  return `issuers(attestations.filter(a, a.type == "audit" && a.followed && a.passed)) >= ${count}`
}

const STANDARD: readonly PresetRule[] = [
  // Attack: a thief of a key who publishes a version again, or whose revocation takes it along, must not make what projects
  // have locked uninstallable. Those are told of it.
  {
    id: 'withdrawn',
    when: '!release.locked',
    require: 'marks.counts',
    message: 'the registry does not count this release'
  },
  {
    id: 'conflict',
    when: '!release.locked',
    require: '!marks.conflict',
    message: 'the version has several contents, so nobody knows which is meant'
  },
  { id: 'quarantine', require: '!quarantine.active', message: 'the version is in quarantine' },
  { id: 'malware', require: '!advisories.exists(a, a.malware)', message: 'the version is known to be malware' },
  {
    id: 'audit-failed',
    require: '!attestations.exists(a, a.type == "audit" && a.followed && "failed" in a.marks)',
    message: 'an auditor that is followed here has found it to be bad'
  },
  {
    id: 'trust-downgrade',
    when: '!release.own',
    require: 'marks.downgrades.size() == 0',
    message: 'the release has less to show for itself than earlier ones of the package'
  }
]

const AGE: PresetRule = {
  id: 'release-age',
  when: '!release.own && !registry.private',
  require: 'age.basis == "first-look" || age.hours >= 24',
  message: 'the release is known for less than 24 hours: most attacks are found within a day'
}

const WARNINGS: readonly PresetRule[] = [
  {
    id: 'forked-author',
    action: 'warn',
    require: '!marks.forkedAuthor',
    message: 'its author signed two statements for one place'
  },
  { id: 'yanked', action: 'warn', require: '!marks.yanked', message: 'the version was yanked' }
]

const STRICT: readonly PresetRule[] = [
  ...STANDARD.map(rule => (rule.when === '!release.locked' ? { ...rule, when: undefined } : rule)),
  {
    id: 'release-age',
    when: '!release.own',
    // One observer alone makes nothing older: what nobody here saw come is a week old by the word of two.
    require: 'age.seenHours >= 168 || (age.hours >= 168 && age.observers >= 2)',
    message: 'the release is not known for seven days'
  },
  { id: 'forked-author', require: '!marks.forkedAuthor', message: 'its author signed two statements for one place' },
  { id: 'yanked', require: '!marks.yanked', message: 'the version was yanked' },
  {
    id: 'staleness',
    when: '!release.own',
    require: `registry.staleHours < ${PARAMETERS.staleHours}`,
    message: 'its registry was not compared with anybody for too long: what was withdrawn since is not known here'
  },
  {
    id: 'publisher',
    when: '!release.own',
    require: 'publisher.verified',
    message: 'no domain says that the key of its publisher is its own'
  },
  {
    id: 'audit',
    when: '!release.own',
    require: 'attestations.exists(a, a.type == "audit" && a.followed && a.passed)',
    message: 'no auditor that is followed here has passed it'
  },
  {
    id: 'auditors',
    when: '!release.own',
    require: auditorsRequired(PARAMETERS.auditors),
    message: 'too few of the auditors that are followed here have passed it'
  },
  {
    id: 'sbom',
    require: 'attestations.exists(a, a.type == "sbom" && (a.followed || a.registry == registry.id))',
    message: 'neither its registry nor anybody who is followed here has a list of what it is made of'
  },
  {
    id: 'licence',
    require:
      'licence.anyOf(["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Zlib", "Unlicense", "CC0-1.0", "MPL-2.0"])',
    message: 'its licence is not among those that are accepted'
  }
]

/** Policies by name. `open` has no rule: what can be resolved can be installed. `standard` is in force where nothing else is said. */
export const PRESETS = {
  open: [],
  standard: [...STANDARD, AGE, ...WARNINGS],
  strict: STRICT
} as const satisfies Readonly<Record<string, readonly PresetRule[]>>

export type Preset = keyof typeof PRESETS

export const DEFAULT_PRESET: Preset = 'standard'

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text)
}

export function presetRules(preset: Preset, parameters: PresetParameters = PARAMETERS): readonly Rule[] {
  return PRESETS[preset].map((rule: PresetRule) => ({
    when: undefined,
    action: 'deny',
    ...rule,
    require: requiredBy(rule, parameters)
  }))
}

function requiredBy(rule: PresetRule, { auditors, staleHours }: PresetParameters): string {
  if (rule.id === 'auditors') return auditorsRequired(auditors)
  return rule.id === 'staleness' ? `registry.staleHours < ${staleHours}` : rule.require
}
