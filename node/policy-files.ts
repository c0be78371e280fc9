import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromUtf8 } from '../protocol/bytes.ts'
import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { formatExceptions, parseExceptions } from '../protocol/policy/exception.ts'
import type { ExceptionRecord } from '../protocol/policy/exception.ts'
import { parsePolicy } from '../protocol/policy/policy.ts'
import type { Policy } from '../protocol/policy/policy.ts'
import { parseToml } from '../storage/content/read-manifest.ts'
import { codeOf } from '../storage/disk-errors.ts'
import { writeDurably } from '../storage/durable.ts'
import { readSmallFile } from '../storage/small-file.ts'

/** In a data directory: what this node installs. */
export const NODE_POLICY = 'policy.toml'
/** In a project: what may be installed there, beside what the node says. Belongs into version control. */
export const PROJECT_POLICY = '.ggen/policy.toml'
/** Signed exceptions of a project. Belongs into version control. */
export const PROJECT_EXCEPTIONS = '.ggen/policy-exceptions.json'

/** Where a policy is written down, and how it is named to people. */
export interface PolicyFile {
  readonly path: string
  readonly name: string
  /** Whether a link may stand for it: not where it came with a repository. */
  readonly followLinks: boolean
}

/** The policy of a node, in its data directory. */
export function nodePolicyFile(home: string): PolicyFile {
  return { path: join(home, NODE_POLICY), name: NODE_POLICY, followLinks: true }
}

/** The policy of a file; undefined when there is no such file. @throws RegistryError POLICY_INVALID | LIMIT_EXCEEDED */
export async function readPolicyFile(file: PolicyFile): Promise<Policy | undefined> {
  const text = await readPolicyText(file)
  return text === undefined ? undefined : parsePolicyText(text, file.name)
}

/** What stands in the file, read as nothing. @throws RegistryError POLICY_INVALID */
export function readPolicyText({ path, name, followLinks }: PolicyFile): Promise<string | undefined> {
  return readText(path, { name, maxBytes: LIMITS.policy.fileBytes, followLinks })
}

/** @throws RegistryError POLICY_INVALID */
export function parsePolicyText(text: string, name: string): Policy {
  try {
    return parsePolicy(parseToml(text, name), name)
  } catch (cause) {
    // A file that is no TOML is a policy that can't be read, like one that means nothing.
    if (!isRegistryError(cause) || cause.code !== 'INVALID_TOML') throw cause
    throw new RegistryError('POLICY_INVALID', cause.message, { cause, next: 'correct the file' })
  }
}

/** Exceptions as they stand in a project; nothing about them is checked. @throws RegistryError POLICY_INVALID */
export async function readExceptions(project: string): Promise<readonly ExceptionRecord[]> {
  const name = PROJECT_EXCEPTIONS
  const text = await readText(join(project, name), {
    name,
    maxBytes: LIMITS.policy.exceptionFileBytes,
    followLinks: false
  })
  return text === undefined ? [] : parseExceptions(text, name)
}

/** One more exception in place of another one about the same. To be called by one command at a time. */
export async function addException(project: string, record: ExceptionRecord): Promise<void> {
  const { rule, registry, package: name, version } = record.body
  const others = (await readExceptions(project)).filter(
    ({ body }) =>
      !(body.rule === rule && body.registry === registry && body.package === name && body.version === version)
  )
  const all = [...others, record]
  if (all.length > LIMITS.policy.signedExceptions) {
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `${PROJECT_EXCEPTIONS} holds at most ${LIMITS.policy.signedExceptions} exceptions`,
      { next: 'take those out that have ended' }
    )
  }
  await mkdir(dirname(join(project, PROJECT_EXCEPTIONS)), { recursive: true })
  await writeDurably(join(project, PROJECT_EXCEPTIONS), formatExceptions(all), { mode: 0o644 })
}

interface Reading {
  readonly name: string
  readonly maxBytes: number
  readonly followLinks: boolean
}

async function readText(path: string, { name, maxBytes, followLinks }: Reading): Promise<string | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await readSmallFile(path, { maxBytes, followLinks })
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return undefined
    // A policy that can't be read is not one that is not there.
    throw new RegistryError('POLICY_INVALID', `${name} cannot be read: ${messageOf(cause)}`, {
      cause,
      next: `check ${path}`
    })
  }
  const text = fromUtf8(bytes)
  if (text !== undefined) return text
  throw new RegistryError('POLICY_INVALID', `${name} is not valid UTF-8`)
}
