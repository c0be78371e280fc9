import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { signException } from '../../attestation/sign-exception.ts'
import { signReceipt } from '../../attestation/sign-receipt.ts'
import { composePolicy } from '../../node/policy.ts'
import type { Statements } from '../../node/policy.ts'
import { AttestationReader } from '../../node/services/attest/reader.ts'
import type { Candidate } from '../../node/services/policy/candidate.ts'
import type { Judged } from '../../node/services/policy/judge.ts'
import type { PolicyParts } from '../../node/services/policy/parts.ts'
import { composeStatements } from '../../node/statements.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import { predicateTypeFrom } from '../../protocol/attest/predicates.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { SignedException } from '../../protocol/policy/exception.ts'
import type { Receipt } from '../../protocol/policy/receipt.ts'
import type { Version } from '../../protocol/version.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { TrustRecords } from '../../storage/trust-records.ts'
import { attestIn, envelopeBy, statementAbout } from '../support/attest.ts'
import type { AttestOptions } from '../support/attest.ts'
import { Federation, publish } from '../support/federation.ts'
import { person, subject } from '../support/facts.ts'
import type { FactWriter, Made, Person } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

const me = person('me')

/** A node that hears what others say of the releases of one package, over the real gate, fold and reader. */
export class Hearing {
  readonly here = new Federation()
  readonly trust = new TrustRecords(memoryKeyValue())
  readonly acme: FactWriter
  readonly home: string
  readonly policy: PolicyParts

  private constructor(acme: FactWriter, here: Federation, home: string, more: Partial<Statements>) {
    this.acme = acme
    this.here = here
    this.home = home
    const { facts, gate, precedence, registries, sources, view } = here
    const attestations = new AttestationReader({
      gate,
      registries,
      now: () => here.now,
      contentHere: async () => undefined
    })
    const signer = {
      principal: me.did,
      signException: (body: SignedException) => signException(body, me.secret),
      signReceipt: (receipt: Receipt) => signReceipt(receipt, me.secret)
    }
    const clock = { now: () => here.now }
    const statements = composeStatements({
      attestations,
      registries,
      view,
      trust: this.trust,
      publishers: { domainOf: async () => undefined }
    })
    this.policy = composePolicy(
      { clock, facts, gate, precedence, registries, view, sources, home, signer },
      { ...statements, ...more }
    )
  }

  /** Versions of `acme:lib`, with this licence, published long ago. */
  static async of(versions: readonly string[], more: Partial<Statements> = {}): Promise<Hearing> {
    const here = new Federation()
    const acme = await here.follow('acme', { kind: 'public', read: false })
    publish(acme, 'lib', Object.fromEntries(versions.map(version => [version, []])))
    const hearing = new Hearing(acme, here, await tempDir('home'), more)
    await here.read(acme)
    here.now += 10 * 24 * 60 * 60 * 1000
    return hearing
  }

  /** Somebody with a registry of his own, which this node follows. */
  speaker(alias: string): Promise<FactWriter> {
    return this.here.follow(alias, { kind: 'public', read: false })
  }

  /** The policy of the node, as rules in CEL. */
  async require(...rules: readonly string[]): Promise<void> {
    const text = rules.map((rule, i) => `[[rule]]\nid = "r${i}"\nrequire = ${JSON.stringify(rule)}\n`).join('')
    await writeFile(join(this.home, 'policy.toml'), `version = 1\n${text}`)
  }

  async candidate(version: string): Promise<Candidate> {
    const view = await this.here.view.package(this.acme.registry, subject('lib'))
    const stated = view.versions.find(entry => entry.version === version)
    const content = stated?.contents[0]
    if (stated === undefined || content === undefined) throw new Error(`there is no ${version}`)
    const { root, fact, by } = content
    const { name } = view
    return { registry: this.acme.registry, name, version: stated.version, root, fact, by, locked: false, content }
  }

  async bytes(version: string): Promise<ReleaseBytes> {
    const view = await this.here.view.package(this.acme.registry, subject('lib'))
    const content = view.versions.find(entry => entry.version === version)?.contents[0]
    if (content === undefined) throw new Error(`there is no ${version}`)
    return { name: view.name, version: version as Version, root: content.root, digests: content.digests }
  }

  /** Somebody says something of a version, in a registry, and it comes here. */
  async says(
    where: FactWriter,
    version: string,
    [type, predicate]: readonly [type: string, predicate: object],
    more: AttestOptions = {}
  ): Promise<Made> {
    const said = { predicateType: predicateTypeFrom(type), predicate: predicate as Record<string, unknown> }
    const made = attestIn(where, await this.bytes(version), { said, ...more })
    await this.here.read(where)
    return made
  }

  async audits(where: FactWriter, version: string, more: Auditing = {}): Promise<Made> {
    const { criteria = ['safe-to-run'], result = 'pass', from, ...options } = more
    const before = from === undefined ? undefined : await this.bytes(from)
    const start =
      before === undefined ? {} : { from: { version: before.version, sha256: toHex(before.digests.sha256) } }
    const kind = before === undefined ? 'full' : 'delta'
    return this.says(where, version, ['audit', { criteria, result, kind, ...start }], options)
  }

  /** What somebody signs about a version, for whoever brings it. */
  async envelope(
    { root }: FactWriter,
    result: 'fail' | 'pass',
    criteria: readonly string[] = ['safe-to-run']
  ): Promise<Pick<AttestOptions, 'envelope' | 'signed'>> {
    const said = { predicateType: predicateTypeFrom('audit'), predicate: { criteria, result, kind: 'full' } }
    return { envelope: envelopeBy(root, statementAbout(await this.bytes('1.0.0'), said)), signed: [root] }
  }

  /** As `trust add WHO --for PURPOSE`. */
  async follows(who: FactWriter | Person, purpose = 'audits'): Promise<void> {
    await this.trust.add({ purpose, who: 'registry' in who ? who.registry : who.did, time: 0 })
  }

  async judged(version = '1.0.0', project?: string): Promise<Judged> {
    const { judged } = await this.policy.judge(project, [await this.candidate(version)], AbortSignal.timeout(60_000))
    const [only] = judged
    if (only === undefined) throw new Error('nothing was judged')
    return only
  }

  /** The rules that refuse it. */
  async denied(version = '1.0.0', project?: string): Promise<readonly string[]> {
    const { rules } = await this.judged(version, project)
    return rules.flatMap(({ code, outcome }) => (outcome === 'deny' ? [code] : []))
  }

  async allows(version = '1.0.0'): Promise<boolean> {
    return (await this.judged(version)).verdict !== 'deny'
  }
}

interface Auditing extends AttestOptions {
  readonly criteria?: readonly string[]
  readonly result?: 'fail' | 'pass'
  readonly from?: string
}
