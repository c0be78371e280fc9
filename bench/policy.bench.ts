import { composePolicy } from '../node/policy.ts'
import { composePrecedence } from '../node/precedence.ts'
import { Registries } from '../node/registries.ts'
import type { Candidate } from '../node/services/policy/candidate.ts'
import { RegistryView } from '../node/services/registry-view.ts'
import { Sources } from '../node/sources.ts'
import { AttestationReader } from '../node/services/attest/reader.ts'
import { composeStatements } from '../node/statements.ts'
import { TrustRecords } from '../storage/trust-records.ts'
import { compilePolicy, judgeRelease } from '../protocol/policy/evaluate.ts'
import { presetPolicy } from '../protocol/policy/policy.ts'
import type { ReleaseFacts } from '../protocol/policy/schema.ts'
import { homePaths } from '../storage/home.ts'
import { person, subject } from '../test/support/facts.ts'
import { FACTS } from '../test/policy/support.ts'
import { nameAt } from './corpus.ts'
import { ATTESTATIONS, attestedHome } from './attested-home.ts'
import type { AttestedHome } from './attested-home.ts'
import { dsse } from './dsse.ts'
import { MANY, openGate } from './filled-home.ts'
import type { OpenedGate } from './filled-home.ts'
import { below, median } from './report.ts'
import type { Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PACKAGES = 1_000
const RUNS = 5
const RELEASES = 5_000
const signal = new AbortController().signal

/** One rule, and a lockfile of a thousand packages with five attestations each, by the strictest preset. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('policy/rule')) yield rule()
  if (workbench.wants('policy/dsse')) yield await dsse()
  const [warm, cold] = ['policy/lockfile-warm', 'policy/lockfile-cold']
  if (!workbench.wants(warm) && !workbench.wants(cold)) return
  const attested = await attestedHome(workbench, PACKAGES)
  const times = { warm: [] as number[], cold: [] as number[] }
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now()
    const opened = await openGate(homePaths(attested.home).store, attested.registry)
    try {
      const judged = await judging(opened, attested, await workbench.tempDir())
      await judged()
      times.cold.push(performance.now() - started)
      const again = performance.now()
      await judged()
      times.warm.push(performance.now() - again)
    } finally {
      await opened.close()
    }
  }
  const input = `${PACKAGES} packages, ${ATTESTATIONS} attestations each, strict`
  if (workbench.wants(warm)) yield below({ bench: warm, value: median(times.warm), unit: 'ms', input }, 1_000)
  if (workbench.wants(cold)) {
    const opening = `${input}, with opening a store of ${MANY.packages} packages`
    yield below({ bench: cold, value: median(times.cold), unit: 'ms', input: opening }, 5_000)
  }
}

/** Microseconds for one rule: `strict` over a release with something to read, without gathering its facts. */
function rule(): Figure {
  const policy = compilePolicy('bench', presetPolicy('strict'))
  const releases = Array.from({ length: RELEASES }, (_, i): ReleaseFacts => ({
    ...FACTS,
    age: { hours: i, seenHours: i, observers: 0, basis: 'first-seen' }
  }))
  const times: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now()
    for (const facts of releases) judgeRelease([policy], facts, () => undefined)
    times.push(((performance.now() - started) * 1_000) / (RELEASES * policy.rules.length))
  }
  const input = `${policy.rules.length} rules of strict, ${RELEASES} releases`
  return below({ bench: 'policy/rule', value: median(times), unit: 'us', input }, 20)
}

/** What judges the first packages of a registry, and must find all of them wanting: nobody verified their publisher. */
async function judging(
  { gate, kv, records, store }: OpenedGate,
  { registry, audits }: AttestedHome,
  home: string
): Promise<() => Promise<void>> {
  const registries = new Registries(records)
  await registries.load()
  await store.open(audits)
  await gate.open(audits)
  const view = new RegistryView(store)
  const sources = new Sources(records, () => Date.now())
  const precedence = composePrecedence({ facts: store, gate, registries, view, sources })
  const nobody = (): never => {
    throw new Error('nobody signs here')
  }
  const signer = { principal: person('nobody').did, signException: nobody, signReceipt: nobody }
  const clock = { now: () => Date.now() }
  const attestations = new AttestationReader({ gate, registries, now: clock.now, contentHere: async () => undefined })
  const statements = composeStatements({
    attestations,
    registries,
    view,
    trust: new TrustRecords(kv),
    publishers: { domainOf: async () => undefined }
  })
  const policy = composePolicy(
    { clock, facts: store, gate, precedence, registries, view, sources, home, signer },
    statements
  )
  const strict = policy.judgeBy([{ name: 'strict', policy: presetPolicy('strict'), isLocal: true }])
  const candidates: Candidate[] = []
  for (let index = 0; index < PACKAGES; index++) {
    const { name, versions } = await view.package(registry, subject(nameAt(index)))
    const content = versions[0]?.contents[0]
    if (versions[0] === undefined || content === undefined) throw new Error(`${name} has no version`)
    const { root, fact, by } = content
    candidates.push({ registry, name, version: versions[0].version, root, fact, by, locked: true, content })
  }
  return async () => {
    const { judged } = await strict(undefined, candidates, signal)
    const denied = judged.filter(({ verdict }) => verdict === 'deny').length
    const heard = judged.every(
      ({ facts: { attestations: said } }) => said.filter(a => a.followed && a.passed).length === ATTESTATIONS
    )
    if (!heard) throw new Error('not every statement was heard')
    if (judged.length !== PACKAGES || denied !== PACKAGES) throw new Error(`${denied} of ${judged.length} were refused`)
  }
}
