/** What each code means to the shell and to the person who reads it. The README's table is checked against this one. */
export const ERROR_CODES = {
  ALREADY_EXISTS: { exit: 4, cause: 'something of that name is there already' },
  AMBIGUOUS_NAME: { exit: 10, cause: 'nobody can tell which registry a name without an alias means' },
  BAD_PASSPHRASE: { exit: 3, cause: 'the passphrase does not open this key file' },
  BAD_SIGNATURE: { exit: 6, cause: 'a signature does not belong to the bytes it came with' },
  CANCELLED: { exit: 130, cause: 'interrupted before it was done' },
  CONTENT_UNAVAILABLE: { exit: 7, cause: 'no peer that was asked had the bytes' },
  CORRUPT_BLOCK: { exit: 8, cause: 'bytes on the local disk no longer match their content identifier' },
  DAEMON_UNREACHABLE: { exit: 9, cause: 'a running node did not answer on its local socket' },
  DENIED: { exit: 6, cause: 'a curator of the registry denied what was asked for' },
  DISK_FULL: { exit: 8, cause: 'no space is left on the device' },
  DOCUMENT_FAILED: {
    exit: 8,
    cause: 'a document of metadata takes too much time or memory to be made, or breaks what makes it'
  },
  DOCUMENT_FULL: { exit: 5, cause: 'the history of a document has reached its bound' },
  FILE_CHANGED: { exit: 5, cause: 'a file changed while it was being read' },
  HOME_LOCKED: { exit: 9, cause: 'another process owns this data directory' },
  HOSTILE_PATH: { exit: 5, cause: 'a package holds a path that no package may hold' },
  INADMISSIBLE_KEY: { exit: 6, cause: 'a public key is of a kind that signatures cannot be trusted under' },
  INTERNAL: { exit: 70, cause: 'a fault in ggen-node itself' },
  INVALID_EDIT: { exit: 5, cause: 'an edit of descriptive metadata does not follow its grammar' },
  INVALID_LICENCE: { exit: 5, cause: 'the licence is not an SPDX expression' },
  INVALID_MANIFEST: { exit: 5, cause: 'the manifest parses but a field in it cannot be used' },
  INVALID_NAME: { exit: 5, cause: 'the name does not follow the name rule' },
  INVALID_REFERENCE: { exit: 2, cause: 'the package reference does not follow its grammar' },
  INVALID_TOML: { exit: 5, cause: 'the manifest is not valid TOML' },
  INVALID_VERSION: { exit: 5, cause: 'the version does not follow semantic versioning' },
  KEY_NOT_FOUND: { exit: 3, cause: 'no key of that name is in the data directory' },
  LIMIT_EXCEEDED: { exit: 5, cause: 'a count or a size passes its limit' },
  LOCALLY_MODIFIED: { exit: 4, cause: 'installed files differ from what was installed' },
  LOCKFILE_INVALID: { exit: 5, cause: 'the lockfile cannot be read, or does not fit what the registry says' },
  LOCKFILE_OUTDATED: { exit: 4, cause: 'with --frozen the lockfile would have to change' },
  MALFORMED: { exit: 6, cause: 'bytes do not have the shape or the one spelling they must have' },
  MISSING_DEPENDENCY: { exit: 10, cause: 'a dependency is not in the registry, or in no version that fits' },
  NAME_TAKEN: { exit: 4, cause: 'the name, or one that looks like it, was given to somebody else' },
  NOT_AUTHORIZED: { exit: 6, cause: 'the key holds no role that allows this' },
  NOT_IN_PROJECT: { exit: 10, cause: 'the project holds no package of that name' },
  NO_CURATOR: { exit: 7, cause: 'no curator of the registry could be asked for the name' },
  NO_MANIFEST: { exit: 5, cause: 'the folder has neither package.toml nor pack.toml' },
  NO_REGISTRY: { exit: 3, cause: 'the data directory knows no registry yet' },
  PEER_INCOMPATIBLE: { exit: 7, cause: 'a peer speaks no protocol version that this node speaks' },
  PEER_LIED: { exit: 7, cause: 'a peer sent bytes that do not match what was asked for' },
  PEER_SILENT: { exit: 7, cause: 'a peer connected and did not introduce itself in time' },
  PEER_UNREACHABLE: { exit: 7, cause: 'no address of the peer could be reached' },
  PENDING: { exit: 6, cause: 'a statement waits for another one that is not here yet' },
  POLICY_DENIED: { exit: 6, cause: 'a rule of the policy refuses a package, so nothing was installed' },
  POLICY_INVALID: { exit: 5, cause: 'a policy, or an exception from it, cannot be read' },
  PORT_IN_USE: { exit: 9, cause: 'another program listens on that port' },
  PROJECT_INVALID: { exit: 5, cause: 'the project file cannot be read, or asks for what cannot be' },
  PROJECT_LOCKED: { exit: 9, cause: 'another command is working on this project' },
  PROJECT_READ_ONLY: { exit: 8, cause: 'the project folder cannot be written to' },
  QUOTA_EXCEEDED: { exit: 8, cause: 'the bytes do not fit into what this node may keep' },
  READ_ONLY: { exit: 8, cause: 'the node takes no writes because the disk is nearly full or a write failed' },
  REGISTRY_CHANGED: { exit: 4, cause: 'a locked name would now be taken from another registry' },
  STORE_CORRUPT: { exit: 8, cause: 'the store lost or changed records without being told to' },
  STORE_FORMAT: { exit: 8, cause: 'the store was written by a newer ggen-node' },
  TAKEN_DOWN: { exit: 6, cause: 'an operator of this node withholds this content' },
  TIMEOUT: { exit: 7, cause: 'no answer in the time that was allowed' },
  UNHEALTHY: { exit: 8, cause: 'doctor found something that needs a person' },
  UNKNOWN_ENTRY: { exit: 10, cause: 'the catalogue of the registry holds nothing of that name' },
  UNKNOWN_FILE: { exit: 2, cause: 'the file or folder does not exist or cannot be read' },
  UNKNOWN_PACKAGE: { exit: 10, cause: 'the registry holds no package of that name' },
  UNKNOWN_REGISTRY: { exit: 3, cause: 'no registry of that alias or id is followed here' },
  UNKNOWN_SUBMISSION: { exit: 10, cause: 'no submission of that name or id waits for a decision here' },
  UNKNOWN_VERSION: { exit: 10, cause: 'the package has no version that fits' },
  UNSAFE_PERMISSIONS: { exit: 3, cause: 'other users of this machine can read a secret file' },
  UNSOLVABLE: { exit: 10, cause: 'no choice of versions agrees with all that is needed' },
  UNSUPPORTED_NODE: { exit: 64, cause: 'this Node.js is too old' },
  USAGE: { exit: 2, cause: 'the command line could not be understood' },
  VERSION_CONFLICT: { exit: 10, cause: 'one version has two different contents in the registry, so neither is served' },
  VERSION_EXISTS: { exit: 4, cause: 'that version was published before with other bytes' },
  WRONG_POSITION: { exit: 6, cause: 'a statement claims a place in its chain that it does not have' },
  WRONG_REGISTRY: { exit: 6, cause: 'a statement arrived under a registry that it was not made for' }
} as const satisfies Record<string, { exit: number; cause: string }>

/** Closed: adding one here makes every exhaustive table fail to compile until it is mapped. */
export type ErrorCode = keyof typeof ERROR_CODES

export interface RegistryErrorOptions {
  readonly cause?: unknown
  readonly detail?: Readonly<Record<string, string | number>>
  /** What was tried before giving up, in order. */
  readonly tried?: readonly string[]
  /** Of a refusal by rules: what they say of each thing, in the shape of `policy check`. For programs. */
  readonly verdicts?: readonly object[]
  /** What the person can do now: one imperative sentence or a command. */
  readonly next?: string
}

/** The only error type that crosses a folder boundary. `code` is API; `message` is for humans, lower case, no full stop. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly code: ErrorCode
  readonly detail: Readonly<Record<string, string | number>>
  readonly tried: readonly string[]
  readonly verdicts: readonly object[]
  readonly next: string | undefined

  constructor(
    code: ErrorCode,
    message: string,
    { cause, detail = {}, tried = [], verdicts = [], next }: RegistryErrorOptions = {}
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
    this.tried = tried
    this.verdicts = verdicts
    this.next = next
  }
}

export function isRegistryError(value: unknown): value is RegistryError {
  return value instanceof RegistryError
}

/** The words of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replace(/\s+/g, ' ').trim()
}
