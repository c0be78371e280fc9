import { join } from 'node:path'
import { verifyException } from '../attestation/sign-exception.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { presetPolicy } from '../protocol/policy/policy.ts'
import { DEFAULT_PRESET, PARAMETERS } from '../protocol/policy/presets.ts'
import { firstSeen } from './first-seen.ts'
import { ownKeys } from './own-keys.ts'
import type { NodeParts } from './parts.ts'
import { registryPolicies } from './registry-policies.ts'
import { nodePolicyFile, PROJECT_POLICY, readExceptions, readPolicyFile } from './policy-files.ts'
import { judge } from './services/policy/judge.ts'
import type { JudgeComponents, LoadedPolicy } from './services/policy/judge.ts'
import { PROJECT } from './services/policy/named.ts'
import type { PolicyParts, PolicySigner } from './services/policy/parts.ts'
import type { Staleness } from './services/policy/staleness.ts'
import type { PolicySources } from './services/policy/sources.ts'
import type { Sources } from './sources.ts'

type Composing = Pick<NodeParts, 'facts' | 'gate' | 'precedence' | 'registries' | 'view'> & {
  readonly home: string
  readonly clock: Pick<NodeParts['clock'], 'now'>
  readonly signer: PolicySigner
  readonly sources: Sources
}

/** What judges releases on this node. */
export function composePolicy(parts: Composing, statements: Statements): PolicyParts {
  const components = composeJudging(parts, statements)
  return {
    judge: judge(components),
    judgeBy: policies => judge({ ...components, policies: async () => policies }),
    policies: components.policies,
    attestations: components.attestations,
    staleness: registry => staleness(components, registry),
    signer: parts.signer
  }
}

function composeJudging(parts: Composing, statements: Statements): JudgeComponents {
  const { clock, precedence, registries, signer, view } = parts
  const known = (id: RegistryId) => registries.all.find(entry => entry.id === id)
  return {
    ...statements,
    find: view.find.bind(view),
    registry: id => {
      const entry = known(id)
      const isPrivate = entry !== undefined && precedence.isPrivate(entry)
      return { alias: entry?.alias ?? id, isPrivate, staleHours: entry?.made === true ? 0 : staleHours(parts, id) }
    },
    ownKeys: () => ownKeys(parts.home, signer.principal),
    firstSeen: (registry, facts, observations) => firstSeen(parts, registry, facts, observations),
    policies: async (project, registries) => [
      ...(await policiesOf(parts.home, project)),
      ...registryPolicies(parts, registries)
    ],
    exceptions: async project => (project === undefined ? [] : readExceptions(project)),
    verifyException,
    registryCalled: text => registries.all.find(({ id, alias }) => alias === text || id === text)?.id,
    ownKey: signer.principal,
    now: () => clock.now()
  }
}

/** As installs see it: of several policies that are about its releases the shortest holds. */
async function staleness({ policies, registry }: JudgeComponents, id: RegistryId): Promise<Staleness> {
  const { staleHours } = registry(id)
  const maxHours = await bearable(policies, id)
  const hours = staleHours >= LIMITS.policy.neverHours ? null : staleHours
  return { hours, maxHours, stale: staleHours >= maxHours }
}

async function bearable(policies: JudgeComponents['policies'], registry: RegistryId): Promise<number> {
  try {
    const inForce = await policies(undefined, new Set([registry]))
    return Math.min(...inForce.map(({ policy }) => policy.maxStaleHours))
  } catch (error) {
    // Nothing is installed by a policy that can't be read, and its age is shown all the same.
    if (isRegistryError(error)) return PARAMETERS.staleHours
    throw error
  }
}

const HOUR_MS = 60 * 60 * 1000

/**
 * For how long a registry may have said something that is not known here. Attack: peers that go on showing an old state, each part of
 * which is proven. A time that has not come, by a clock that was wrong, is none.
 */
function staleHours({ sources, clock }: Composing, registry: RegistryId): number {
  const age = clock.now() - (sources.heardAt(registry) ?? Number.NEGATIVE_INFINITY)
  if (age < -LIMITS.clockSkewMs) return LIMITS.policy.neverHours
  return Math.min(LIMITS.policy.neverHours, Math.floor(Math.max(0, age) / HOUR_MS))
}

/** What others say about releases and keys: of attestations, advisories, quarantines and domains. */
export type Statements = Pick<PolicySources, 'advisories' | 'attestations' | 'domainOf' | 'quarantine'>

/**
 * The policies in force: that of the node, which is `standard` where its operator said nothing, then that of the project.
 * Attack: a repository brings a policy that allows everything. It is one more that has to allow a release, never one less.
 */
async function policiesOf(home: string, project: string | undefined): Promise<readonly LoadedPolicy[]> {
  const own = await readPolicyFile(nodePolicyFile(home))
  const policies: LoadedPolicy[] = [
    own === undefined
      ? { name: DEFAULT_PRESET, policy: presetPolicy(DEFAULT_PRESET), isLocal: true }
      : { name: 'node', policy: own, isLocal: true }
  ]
  if (project === undefined) return policies
  const path = join(project, PROJECT_POLICY)
  const added = await readPolicyFile({ path, name: PROJECT_POLICY, followLinks: false })
  return added === undefined ? policies : [...policies, { name: PROJECT, policy: added, isLocal: true }]
}
