// The library: what `import 'ggen-node'` gives. Names here are API; everything else may change.
export { ERROR_CODES, RegistryError, isRegistryError } from '../protocol/errors.ts'
export type { ErrorCode } from '../protocol/errors.ts'
export type { ContentId, FactId, RegistryId } from '../protocol/cid.ts'
export type { Principal } from '../protocol/did.ts'
export type { Manifest } from '../protocol/manifest.ts'
export type { PackageName } from '../protocol/package-name.ts'
export type { Version } from '../protocol/version.ts'
export { createNode, defaultHome } from './embed.ts'
export type {
  CallOptions,
  CreateNodeInit,
  EmbeddedMethod,
  EmbeddedNode,
  EmbeddedRegistries,
  InRegistry,
  NodeLog,
  NodeSettings,
  ResultOf,
  WaitFor
} from './embedded-node.ts'
export type { LogLevel } from './runtime/log.ts'
export type {
  ApiMethods,
  NodeStatus,
  PeerStatus,
  Progress,
  RegistryRecord,
  RegistryStatus,
  ShownPackage,
  ShownVersion
} from './services/api.ts'
export type { Attested, ShownAttestation, ShownRelease } from './services/attest/methods.ts'
export type { ImportResult } from './services/import-folders.ts'
export type { InstalledPackage, InstallResult } from './services/install-result.ts'
export type { Published } from './services/publish.ts'
export type { PackageSummary } from './services/registry-view.ts'
export type { FoundPackage } from './services/search.ts'
export type { YankResult } from './services/yank.ts'
