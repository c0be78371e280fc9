/** The types that a field may have, as rules write them. */
type FieldType = 'bool' | 'double' | 'int' | 'list<string>' | 'string'

interface Field {
  readonly type: FieldType
  readonly doc: string
  /** A rule that reads it: the reference page shows it, and a test evaluates it. */
  readonly example: string
}

type Fields = Readonly<Record<string, Field>>

/** What a rule may read, group by group. `list`: the group is a list of such. */
export const SCHEMA = {
  release: {
    type: 'Release',
    list: false,
    doc: 'The release itself, as its signed fact states it.',
    fields: {
      name: { type: 'string', doc: 'the name with its ecosystem', example: 'release.name.startsWith("ggen/")' },
      version: { type: 'string', doc: 'the version', example: 'release.version != "1.0.1"' },
      bytes: { type: 'int', doc: 'the size of all its files', example: 'release.bytes <= 10000000' },
      dependencies: {
        type: 'int',
        doc: 'how many packages its manifest asks for',
        example: 'release.dependencies <= 50'
      },
      executables: {
        type: 'int',
        doc: 'how many of its files are executable; none is ever run by this program',
        example: 'release.executables == 0'
      },
      own: {
        type: 'bool',
        doc: 'signed by a key of this node; what others publish in a registry of ours is theirs',
        example: 'release.own || age.hours >= 24'
      },
      locked: {
        type: 'bool',
        doc: 'the lockfile has had this very content before',
        example: 'release.locked || !marks.conflict'
      }
    }
  },
  registry: {
    type: 'Registry',
    list: false,
    doc: 'The registry that the release is of.',
    fields: {
      id: { type: 'string', doc: 'its id, the same everywhere', example: 'registry.id != ""' },
      alias: { type: 'string', doc: 'what it is called on this node', example: 'registry.alias in ["acme", "mine"]' },
      private: {
        type: 'bool',
        doc: 'only its members see it',
        example: 'registry.private || publisher.verified'
      },
      staleHours: {
        type: 'int',
        doc: 'whole hours since it was compared with somebody to the end; 0 where it was made here, 876000 when it never was',
        example: 'registry.staleHours < 24'
      }
    }
  },
  publisher: {
    type: 'Publisher',
    list: false,
    doc: 'Whose key signed the release.',
    fields: {
      key: { type: 'string', doc: 'the key as did:key', example: 'publisher.key.startsWith("did:key:")' },
      verified: {
        type: 'bool',
        doc: 'a domain says that the key is its own',
        example: 'publisher.verified'
      },
      domain: { type: 'string', doc: 'that domain, or empty', example: 'publisher.domain.endsWith("example.org")' }
    }
  },
  marks: {
    type: 'Marks',
    list: false,
    doc: 'What the fold of the registry, and what was seen before, say of the release.',
    fields: {
      counts: {
        type: 'bool',
        doc: 'the registry counts it: its signer was allowed to publish it',
        example: 'marks.counts'
      },
      conflict: {
        type: 'bool',
        doc: 'the version has several contents, and nobody has settled which one is meant',
        example: '!marks.conflict'
      },
      yanked: { type: 'bool', doc: 'withdrawn by those who may', example: '!marks.yanked' },
      forkedAuthor: {
        type: 'bool',
        doc: 'its author signed two statements for one place',
        example: '!marks.forkedAuthor'
      },
      downgrades: {
        type: 'list<string>',
        doc: 'what earlier releases of the package had and this one has not: `new-key`, `no-provenance`, `fewer-signers`, `unverified-publisher`',
        example: '!("new-key" in marks.downgrades)'
      }
    }
  },
  attestations: {
    type: 'Attestation',
    list: true,
    doc: 'What others signed about exactly these bytes. Statements about other bytes are never among them.',
    fields: {
      type: {
        type: 'string',
        doc: '`audit`, `provenance`, `sbom`, `review`, `star`, …, or `unknown`',
        example: 'attestations.exists(a, a.type == "provenance")'
      },
      predicateType: {
        type: 'string',
        doc: 'the type as in-toto writes it',
        example: 'attestations.exists(a, a.predicateType == "https://slsa.dev/provenance/v1")'
      },
      issuer: {
        type: 'string',
        doc: 'the key that signed it',
        example: 'attestations.exists(a, a.issuer != publisher.key)'
      },
      registry: {
        type: 'string',
        doc: 'the id of the registry in which it was said',
        example: 'attestations.exists(a, a.registry == registry.id)'
      },
      followed: {
        type: 'bool',
        doc: 'its issuer, or the registry, is followed for such statements',
        example: 'issuers(attestations.filter(a, a.followed)) >= 1'
      },
      passed: {
        type: 'bool',
        doc: 'what it says is favourable',
        example: 'attestations.exists(a, a.type == "audit" && a.passed)'
      },
      marks: {
        type: 'list<string>',
        doc: 'what is known of the statement itself, such as the criteria of an audit',
        example: 'attestations.exists(a, "safe-to-run" in a.marks)'
      },
      summary: { type: 'string', doc: 'one line for people', example: 'attestations.all(a, a.summary.size() < 1000)' }
    }
  },
  licence: {
    type: 'Licence',
    list: false,
    doc: 'The licence that the manifest states, and what those who are followed found it to be. `licence.anyOf(["MIT", …])` asks what they found, else what is stated.',
    fields: {
      expression: {
        type: 'string',
        doc: 'as the manifest writes it; empty when there is none',
        example: 'licence.expression != ""'
      },
      concluded: {
        type: 'string',
        doc: 'what reviewers who are followed found, all of it where they do not agree; empty without any',
        example: 'licence.concluded in ["", licence.expression]'
      },
      valid: {
        type: 'bool',
        doc: 'what `anyOf` asks is an SPDX expression',
        example: 'licence.valid'
      }
    }
  },
  age: {
    type: 'Age',
    list: false,
    doc: 'For how long the release is known, which its author has no say in.',
    fields: {
      hours: { type: 'int', doc: 'whole hours since it was first seen', example: 'age.hours >= 24' },
      seenHours: {
        type: 'int',
        doc: 'whole hours since it came here, whatever others say',
        example: 'age.seenHours >= 168 || age.observers >= 2'
      },
      observers: {
        type: 'int',
        doc: 'how many mirrors and curators of its registry said when they first saw it',
        example: 'age.hours >= 720 || age.observers >= 2'
      },
      basis: {
        type: 'string',
        doc: '`observed` by mirrors and curators; `first-seen` by this node; `first-look`: it was there when this node saw the registry for the first time, so nobody here can tell',
        example: 'age.basis in ["observed", "first-seen"]'
      }
    }
  },
  advisories: {
    type: 'Advisory',
    list: true,
    doc: 'Known problems of this version.',
    fields: {
      id: { type: 'string', doc: 'its id', example: '!advisories.exists(a, a.id == "OSV-2026-1")' },
      severity: {
        type: 'string',
        doc: '`low`, `medium`, `high`, `critical` or `unknown`',
        example: '!advisories.exists(a, a.severity in ["high", "critical"])'
      },
      malware: { type: 'bool', doc: 'the package itself is the attack', example: '!advisories.exists(a, a.malware)' },
      fixed: {
        type: 'string',
        doc: 'the lowest version without it, or empty',
        example: 'advisories.all(a, a.fixed == "")'
      }
    }
  },
  quarantine: {
    type: 'Quarantine',
    list: false,
    doc: 'Whether those who may have stopped the version for now.',
    fields: {
      active: { type: 'bool', doc: 'it is stopped', example: '!quarantine.active' },
      reason: { type: 'string', doc: 'in the words of whoever stopped it', example: 'quarantine.reason == ""' }
    }
  },
  reviews: {
    type: 'Reviews',
    list: false,
    doc: 'What people think of it. Cheap to forge, because anybody can have many keys: no rule should rest on it alone.',
    fields: {
      count: { type: 'int', doc: 'distinct keys that reviewed it', example: 'reviews.count >= 3' },
      average: {
        type: 'double',
        doc: 'from 0 to 5; 0 without any',
        example: 'reviews.count == 0 || reviews.average >= 3.5'
      },
      stars: { type: 'int', doc: 'distinct keys that gave a star', example: 'reviews.stars >= 100' }
    }
  }
} as const satisfies Readonly<
  Record<string, { readonly type: string; readonly list: boolean; readonly doc: string; readonly fields: Fields }>
>

export type Group = keyof typeof SCHEMA

export const GROUPS = Object.keys(SCHEMA) as readonly Group[]

/** What rules may call beside the operators of the language. Everything else is refused when a policy is loaded. */
export const FUNCTIONS = {
  size: 'the length of a list or a text',
  contains: 'whether a text holds another',
  startsWith: 'whether a text begins with another',
  endsWith: 'whether a text ends with another',
  exists: 'whether one entry of a list passes',
  all: 'whether every entry of a list passes',
  exists_one: 'whether exactly one entry of a list passes',
  filter: 'the entries of a list that pass',
  map: 'a list made of another',
  issuers: 'how many distinct keys signed the attestations of a list: `issuers(attestations.filter(a, a.passed)) >= 2`',
  anyOf: 'whether a licence is satisfied by one of these: `licence.anyOf(["MIT", "Apache-2.0"])`'
} as const

interface JsTypes {
  readonly bool: boolean
  readonly double: number
  readonly int: number
  readonly 'list<string>': readonly string[]
  readonly string: string
}

type RecordOf<F extends Fields> = { readonly [K in keyof F]: JsTypes[F[K]['type']] }

type FactsOf<G extends Group> = (typeof SCHEMA)[G]['list'] extends true
  ? readonly RecordOf<(typeof SCHEMA)[G]['fields']>[]
  : RecordOf<(typeof SCHEMA)[G]['fields']>

/** All that the rules of a policy may read of one release: the schema as a type. */
export type ReleaseFacts = { readonly [G in Group]: FactsOf<G> }

export type AttestationFacts = ReleaseFacts['attestations'][number]
export type AdvisoryFacts = ReleaseFacts['advisories'][number]

type NamedFields = readonly (readonly [string, Field])[]

/** Made once: every release that is judged goes through all of them. */
const FIELDS = new Map<Group, NamedFields>(GROUPS.map(group => [group, Object.entries<Field>(SCHEMA[group].fields)]))

/** The fields of a group, by their names. */
export function fieldsOf(group: Group): NamedFields {
  return FIELDS.get(group) ?? []
}
