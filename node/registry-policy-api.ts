import { withoutByteOrderMark } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Policy } from '../protocol/policy/policy.ts'
import { authoring } from './authority-api.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import { readPolicyText } from './policy-files.ts'
import { readPublished } from './registry-policies.ts'
import type { Api } from './services/api.ts'
import { authorityOf, changeHere } from './services/authority/place.ts'
import { writeOrder } from './services/authority/writer.ts'
import type { PublishedPolicy } from './services/policy/methods.ts'

/** The calls about what a registry says of how its releases are installed. */
export function registryPolicyApi(parts: NodeParts): Pick<Api, 'policyPublish' | 'policyShow'> {
  const { authority, gate, registries } = parts
  return {
    policyPublish: ({ file, registry: which, ...params }) =>
      authoring(parts, params, async () => {
        const { id: registry, alias } = registries.find(which)
        const text = file === undefined ? '' : await policyText(file)
        const { visibility } = authorityOf(gate, registry).genesis
        if (text !== '') await assertMeans(text, { alias, visibility })
        const written = await writeOrder(authority, {
          registry,
          subject: 'registry',
          signer: await authority.signer(params.key),
          payload: place => ({ type: 'policy', value: { authPrev: changeHere(place).authPrev, head: null, text } })
        })
        return [written]
      }),
    policyShow: async ({ registry: which }) => {
      const entry = registries.find(which)
      const { policies } = authorityOf(gate, entry.id)
      const publishers = await namedKeys(
        parts,
        policies.map(({ by }) => by)
      )
      const { compilePolicy } = await import('../protocol/policy/evaluate.ts')
      const isSound = (policy: Policy): void => void compilePolicy(`registry ${entry.alias}`, policy)
      return {
        alias: entry.alias,
        registry: entry.id,
        policies: policies.map(one => shown(entry, one, isSound)),
        publishers
      }
    }
  }
}

/** @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED | POLICY_INVALID */
async function policyText(file: string): Promise<string> {
  const read = await readPolicyText({ path: file, name: file, followLinks: true })
  if (read === undefined) throw new RegistryError('UNKNOWN_FILE', `${file} does not exist`)
  const text = withoutByteOrderMark(read)
  if (text.trim() === '') throw new RegistryError('POLICY_INVALID', `${file} is empty`)
  if (text.length <= LIMITS.policy.registryChars) return text
  throw new RegistryError(
    'LIMIT_EXCEEDED',
    `the policy of a registry has at most ${LIMITS.policy.registryChars} characters, this one ${text.length}`,
    { next: 'take comments out of it' }
  )
}

/** Nothing is signed that nobody could install by. @throws RegistryError POLICY_INVALID */
async function assertMeans(
  text: string,
  { alias, visibility }: { readonly alias: string; readonly visibility: 'private' | 'public' }
): Promise<void> {
  const { compilePolicy } = await import('../protocol/policy/evaluate.ts')
  const policy = readPublished({ alias }, { text })
  compilePolicy(`registry ${alias}`, policy)
  if (policy.reach !== 'all' || visibility === 'private') return
  throw new RegistryError('POLICY_INVALID', `reach = "all" is for private registries, and ${alias} is a public one`, {
    next: 'leave it out: its rules are about its own releases'
  })
}

/** `compile`: what is found wrong only when a release is judged is told here, too. */
function shown(
  entry: { readonly alias: string },
  one: Pick<PublishedPolicy, 'by' | 'fact' | 'text'>,
  compile: (policy: Policy) => void
): PublishedPolicy {
  if (one.text === '') return { ...one, digest: null, rules: 0, reach: 'registry', fault: null }
  try {
    const policy = readPublished(entry, one)
    compile(policy)
    const { digest, rules, reach } = policy
    return { ...one, digest, rules: rules.length, reach, fault: null }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    return { ...one, digest: null, rules: 0, reach: 'registry', fault: error.message }
  }
}
