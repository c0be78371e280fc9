import type { RegistryId } from '../protocol/cid.ts'
import { parseFactId } from '../protocol/cid.ts'
import type { FactId } from '../protocol/cid.ts'
import { isPrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { parseSemver } from '../protocol/version.ts'
import { ownReference, ownReferenceIn } from './meant.ts'
import type { NodeParts } from './parts.ts'
import { removeRegistry } from './registry-setup.ts'
import { namedKeys } from './named-keys.ts'
import type { Api } from './services/api.ts'
import { conflictsIn, proofOf, resolveFork, resolveVersion } from './services/authority/conflicts.ts'
import { signToo } from './services/authority/cosign.ts'
import type { Cosigned } from './services/authority/cosign.ts'
import { admitFile, bundleOf } from './services/authority/fact-files.ts'
import type { Bundle } from './services/authority/fact-files.ts'
import type { AboutParams, Authored, AuthorityMethods, Filed, SigningParams } from './services/authority/methods.ts'
import { grantRole, revokeRole, rotateKey, transferPackage } from './services/authority/roles.ts'
import type { About } from './services/authority/roles.ts'
import { showRegistry, showRoles } from './services/authority/show.ts'
import type { Written } from './services/authority/writer.ts'

/** The calls about who may do what. */
export function authorityApi(parts: NodeParts): Pick<Api, keyof AuthorityMethods> {
  const { authority, registries } = parts
  return {
    registryShow: async ({ registry }) => {
      const { id, alias, isDefault, singleSource } = registries.find(registry)
      const found = await showRegistry(authority, id)
      const publishers = await namedKeys(parts, [...found.owners, ...found.roles.map(({ key }) => key)])
      const known = { alias, isDefault, sources: parts.sources(id), singleSource }
      return { ...found, ...known, publishers, staleness: await parts.policy.staleness(id) }
    },
    registryRemove: params => removeRegistry(parts, params),
    roleList: async params => {
      const { id, alias, subject } = await aboutOf(parts, params)
      const found = await showRoles(authority, id, subject)
      const publishers = await namedKeys(parts, [...found.owners, ...found.roles.map(({ key }) => key)])
      return { ...found, alias, publishers }
    },
    roleGrant: ({ to, role, scope, expires, threshold, ...params }) =>
      authoring(parts, params, async () => [
        await grantRole(authority, await signingAbout(parts, params), { key: to, role, scope, expires, threshold })
      ]),
    roleRevoke: ({ from, role, scope, reason = '', threshold, compromised, keep, ...params }) =>
      authoring(parts, params, async () =>
        revokeRole(authority, await signingAbout(parts, params), {
          key: from,
          role,
          scope,
          reason,
          threshold,
          isCompromised: compromised,
          keep: keep.map(factFrom)
        })
      ),
    roleRotate: async ({ from, to, registry, ...params }) => {
      let skipped: Awaited<ReturnType<typeof rotateKey>>['skipped'] = []
      const authored = await authoring(parts, params, async () => {
        const about = { registry: registries.find(registry).id, key: params.key }
        const rotated = await rotateKey(authority, about, { from, to })
        skipped = rotated.skipped
        return rotated.written
      })
      return { ...authored, skipped }
    },
    transfer: ({ to, ...params }) =>
      authoring(parts, params, async () => transferPackage(authority, await signingAbout(parts, params), to)),
    ...signingApi(parts),
    ...conflictApi(parts)
  }
}

function signingApi(parts: NodeParts): Pick<Api, 'sign' | 'admitFile'> {
  const { authority, registries } = parts
  return {
    sign: async ({ fact, file, registry, key, out, dryRun }) => {
      if ((fact === undefined) === (file === undefined)) throw new RegistryError('USAGE', 'sign one fact or one file')
      const which = registry === undefined ? undefined : registries.find(registry).id
      const what = file === undefined ? { fact: factFrom(fact ?? ''), registry: which } : { file }
      const result = await signToo(authority, { what, key, out, isDryRun: dryRun })
      return { ...result, publishers: await namedKeys(parts, result.signed.flatMap(keysIn)) }
    },
    admitFile: async ({ file }) => ({ facts: (await admitFile(authority, file)).facts })
  }
}

/** Whoever signed it or may, and the keys that it is about. */
function keysIn({ signed, open, text }: Cosigned): readonly Principal[] {
  const about: readonly string[] = text.match(/did:key:z6Mk[1-9A-HJ-NP-Za-km-z]+/g) ?? []
  return [...signed, ...open, ...about.filter(isPrincipal)]
}

function conflictApi(parts: NodeParts): Pick<Api, 'conflictList' | 'resolve' | 'resolveFork' | 'proofExport'> {
  const { authority, registries } = parts
  const idOf = (registry: string | undefined): RegistryId | undefined =>
    registry === undefined ? undefined : registries.find(registry).id
  return {
    conflictList: async ({ registry }) => {
      const { id, alias } = registries.find(registry)
      const found = await conflictsIn(authority, id)
      const keys = [
        ...found.versions.flatMap(({ contents }) => contents.map(({ by }) => by)),
        ...found.forks.map(({ author }) => author)
      ]
      return { ...found, alias, publishers: await namedKeys(parts, keys) }
    },
    resolve: ({ reference: text, keep, ...params }) =>
      authoring(parts, params, async () => {
        const { reference, registry } = await ownReference(parts, text)
        const { name, range } = reference
        if (range === undefined) {
          throw new RegistryError('INVALID_REFERENCE', 'name the version that is in conflict', {
            next: `ggen-node resolve ${text}@VERSION --keep FACT`
          })
        }
        const asked = { registry: registry.id, key: params.key, keep }
        return [await resolveVersion(authority, asked, { name, version: parseSemver(range) })]
      }),
    resolveFork: ({ fork, keep, registry, ...params }) =>
      authoring(parts, params, async () => [
        await resolveFork(authority, {
          fork: factFrom(fork),
          keep: factFrom(keep),
          key: params.key,
          registry: idOf(registry)
        })
      ]),
    proofExport: async ({ fact, file, registry }) => {
      await authority.files.assertFree(file)
      const proof = await proofOf(authority, factFrom(fact), idOf(registry))
      await authority.files.replace(file, proof.bytes)
      return { file, registry: proof.registry, fork: proof.fork, facts: proof.fork.facts }
    }
  }
}

/** Signs, says how what was signed stands, and writes the file that was asked for. */
export async function authoring(
  parts: NodeParts,
  { out }: SigningParams,
  sign: () => Promise<readonly Written[]>
): Promise<Authored> {
  let written: readonly Written[] = []
  const { file } = await filing(parts, out, async () => {
    written = await sign()
    const [first] = written
    const facts = written.map(({ fact, subject }) => ({ id: fact, subject }))
    return first === undefined ? undefined : { registry: first.registry, facts }
  })
  return { written, file }
}

/** Signs, then writes the file that was asked for. Where it would go is looked at before anything is signed. */
export async function filing(
  { authority }: Pick<NodeParts, 'authority'>,
  out: string | undefined,
  sign: () => Promise<Bundle | undefined>
): Promise<Filed> {
  if (out !== undefined) await authority.files.assertFree(out)
  const bundle = await sign()
  if (out === undefined || bundle === undefined) return { file: null }
  try {
    await authority.files.replace(out, await bundleOf(authority, bundle))
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    const { code, message } = cause
    // Whoever is told of a failure and no more signs a second time.
    throw new RegistryError(code, `what was signed is in the registry here, and not in the file: ${message}`, {
      cause,
      next: 'nothing need be signed again: whoever follows the registry gets it from this node'
    })
  }
  return { file: out }
}

interface Subjected extends Pick<About, 'subject'> {
  readonly id: RegistryId
  readonly alias: string
}

/** What a command is about. Attack: none, but a package of one registry and the name of another would be half ignored. */
async function aboutOf(parts: NodeParts, params: { registry?: string; package?: string }): Promise<Subjected> {
  if (params.package === undefined) {
    const { id, alias } = parts.registries.find(params.registry)
    return { id, alias, subject: 'registry' }
  }
  const { reference, registry } = await ownReferenceIn(parts, params.package, params.registry)
  if (reference.range !== undefined)
    throw new RegistryError('INVALID_REFERENCE', 'a role is about a package, not about one version of it')
  return { id: registry.id, alias: registry.alias, subject: reference.name }
}

async function signingAbout(parts: NodeParts, params: AboutParams): Promise<About> {
  const { id, subject } = await aboutOf(parts, params)
  return { registry: id, subject, key: params.key }
}

/** @throws RegistryError USAGE */
function factFrom(text: string): FactId {
  try {
    return parseFactId(text)
  } catch (cause) {
    throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not the id of a fact`, {
      cause,
      next: 'it begins with bafyrei; --json shows the ids of what was signed'
    })
  }
}
