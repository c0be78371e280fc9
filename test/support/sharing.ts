/**
 * The test files, below `test/` and without `.test.ts`, that get a process of their own: they start processes, measure this
 * one, change what belongs to the whole of it, or may break it. All others share two processes, so that the libraries are
 * loaded twice and not once for each file.
 */
export const ALONE = [
  'architecture',
  'admission/flood',
  'admission/unfoldable',
  'archive/mutations',
  'archive/process',
  'archive/verify',
  'authority/conflicts',
  'authority/roles',
  'build/*',
  'cli/*',
  'cli-output/swarm-options',
  'config/*',
  'content/archive',
  'content/folder',
  'content/spec',
  'documents/worker-engine',
  'integration/*',
  'keys/key-files',
  'leak/witnesses',
  'membership/backup',
  'membership/takeover',
  'mirror/file',
  'mirror/node',
  'mirror/since',
  'operator/*',
  'p2p/assert-host',
  'p2p/isolation',
  'p2p/muxer',
  'p2p/protector',
  'p2p/resume',
  'p2p/submit',
  'project/hostile-files',
  'protocol/authority-load',
  'storage/bit-rot',
  'storage/blocks-at-once',
  'storage/damaged-folder',
  'storage/home',
  'store/node',
  'submit/registries',
  'support/*'
]

/** Whether a test file, as a path of the repository, shares its process with others. */
export function isSharing(path: string): boolean {
  if (!path.endsWith('.test.ts') || path.endsWith('.long.test.ts')) return false
  const name = path.slice('test/'.length, -'.test.ts'.length)
  return !ALONE.includes(name) && !ALONE.includes(`${name.slice(0, name.lastIndexOf('/'))}/*`)
}
