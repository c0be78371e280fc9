import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ApiMethods } from '../../node/services/api.ts'
import type { InstallResult, InstalledPackage } from '../../node/services/install-result.ts'
import type { Published } from '../../node/services/publish.ts'
import { RegistryError, isRegistryError } from '../../protocol/errors.ts'
import { startDemoNode } from './demo-node.ts'
import type { DemoNode } from './demo-node.ts'
import { packagePath } from '../../node/package-root.ts'
import { bytesText, countOf, cut, print, printJson } from './print.ts'
import { textOption } from './run.ts'
import type { Options, Session } from './run.ts'

const WAIT_MS = 120_000
const LOOK_MS = 20
const DAY_MS = 24 * 60 * 60 * 1000
const SHOWN_CHARS = 160
/** Of a large folder, so many packages are candidates for the install. */
const LOOKED_AT = 200

interface DemoResult {
  readonly ok: true
  readonly nodes: 3
  readonly published: number
  readonly installed: readonly Pick<InstalledPackage, 'name' | 'version' | 'cid' | 'from' | 'bytes' | 'ms'>[]
  readonly gossipMs: number
}

/**
 * `ggen-node demo`: three nodes, three processes, one machine. The first publishes and vanishes, the second has learned
 * of everything by gossip and copied the bytes, the third installs from the second.
 */
export async function demo(session: Session, options: Options): Promise<void> {
  const from = resolve(textOption(options, 'from') ?? packagePath('examples'))
  await assertFolders(from)
  const folder = await mkdtemp(join(tmpdir(), 'ggen-demo-'))
  const nodes: DemoNode[] = []
  const say = (text: string): void => {
    if (!session.json) print(text)
  }
  try {
    const result = await federation({ from, folder, nodes, say, signal: session.signal })
    await stopAll(nodes)
    if (session.json) printJson(result)
    else for (const line of lookAround(folder, nodes[1]?.address ?? '', result)) print(line)
    if (session.json) await rm(folder, { recursive: true, force: true })
  } catch (error) {
    await stopAll(nodes)
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Said before three nodes are started. */
async function assertFolders(from: string): Promise<void> {
  const entries = await readdir(from, { withFileTypes: true }).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${from} is not a folder that can be read`, { cause })
  })
  if (entries.some(entry => entry.isDirectory())) return
  throw new RegistryError('NO_MANIFEST', `${from} holds no package folders`, {
    next: 'name a folder whose sub-folders have a package.toml or pack.toml'
  })
}

interface Stage {
  readonly from: string
  readonly folder: string
  readonly nodes: DemoNode[]
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

async function federation({ from, folder, nodes, say, signal }: Stage): Promise<DemoResult> {
  const start = async (name: string, args: readonly string[], registry?: string): Promise<DemoNode> => {
    const node = await startDemoNode({ home: join(folder, name), args, registry, signal })
    nodes.push(node)
    say(`${name}  process ${node.pid}  peer …${node.peerId.slice(-8)}  ${node.address}`)
    return node
  }
  say('1. Three nodes start')
  const first = await start('node1', [])
  const registry = first.registry
  const ready = { registry, facts: 1, peers: 1, kept: false, timeoutMs: WAIT_MS }
  const second = await start('node2', ['--keep', 'all', '--bootstrap', first.address], registry)
  await second.client.call('waitFor', ready, { signal })
  const third = await start('node3', ['--bootstrap', second.address], registry)
  await third.client.call('waitFor', ready, { signal })
  await firstLook(third, registry, signal)

  say('2. Node 1 publishes')
  const { published, refused } = await first.client.call('importFolder', { folder: from, registry }, { signal })
  const acknowledged = performance.now()
  if (published.length === 0) {
    throw new RegistryError('NO_MANIFEST', `no package could be published from ${from}`, {
      tried: refused.slice(0, 5).map(entry => `${entry.folder}: ${entry.reason}`)
    })
  }
  for (const entry of published.slice(0, 12))
    say(`   ${nameOf(entry)}  ${countOf(entry.files, 'file')}, ${bytesText(entry.bytes)}  ${entry.cid}`)
  if (published.length > 12) say(`   and ${published.length - 12} more`)
  if (refused.length > 0)
    say(
      `   ${refused.length} refused: ${refused
        .slice(0, 3)
        .map(entry => `${entry.folder} (${entry.code})`)
        .join(', ')}${refused.length > 3 ? ', …' : ''}`
    )

  say('3. Node 2 hears of them by gossip and copies the bytes')
  const { registries } = await first.client.call('status', {})
  const facts = registries.find(entry => entry.id === registry)?.facts ?? 0
  const heard = { registry, facts, peers: 0, kept: false, timeoutMs: WAIT_MS }
  await second.client.call('waitFor', heard, { signal })
  const gossipMs = Math.round(performance.now() - acknowledged)
  await second.client.call('waitFor', { ...heard, kept: true }, { signal })
  await third.client.call('waitFor', heard, { signal })
  say(`   ${facts} signed statements there ${gossipMs} ms after the last publish; all bytes copied`)

  say('4. Node 1 ends and its data is deleted')
  await first.stop()
  await rm(first.home, { recursive: true, force: true })

  say('5. Node 3 installs from node 2, verified')
  const { installed } = await installOne(third, published, { project: join(folder, 'project'), say, signal })
  for (const { name, version, bytes, ms, from: peers } of installed.slice(0, 10)) {
    say(`   ${name}@${version}  ${bytesText(bytes)} in ${ms} ms  from …${peers.join(' ').slice(-8)}`)
  }
  if (installed.length > 10) say(`   and ${installed.length - 10} more`)
  assertFrom(installed, second.peerId)
  return {
    ok: true,
    nodes: 3,
    published: published.length,
    installed: installed.map(({ name, version, cid, from: peers, bytes, ms }) => ({
      name,
      version,
      cid,
      from: peers,
      bytes,
      ms
    })),
    gossipMs
  }
}

/** Until a node has read all of a registry once: what comes after that is news to it. */
async function firstLook(node: DemoNode, registry: string, signal: AbortSignal): Promise<void> {
  for (let waited = 0; waited < WAIT_MS; waited += LOOK_MS) {
    const { registries } = await node.client.call('status', {})
    if ((registries.find(({ id }) => id === registry)?.sources ?? 0) > 0) return
    await setTimeout(LOOK_MS, undefined, { signal })
  }
  throw new RegistryError('TIMEOUT', 'a node of the demo did not read the registry')
}

interface Installing {
  readonly project: string
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

/** The package with most dependencies that can be had. */
async function installOne(
  node: DemoNode,
  published: readonly Published[],
  { project, say, signal }: Installing
): Promise<InstallResult> {
  const names = [...new Set(published.map(entry => entry.name))]
  const counted: { readonly reference: string; readonly needs: number }[] = []
  for (const reference of names.slice(0, LOOKED_AT)) {
    const { manifest } = await node.client.call('show', { reference })
    counted.push({ reference, needs: manifest?.dependencies.filter(entry => entry.kind === 'ggen').length ?? 0 })
  }
  let last: unknown
  for (const { reference } of counted.toSorted((a, b) => b.needs - a.needs)) {
    try {
      return await refusedThenAllowed(node, { references: [reference], project }, { say, signal })
    } catch (error) {
      // A marketplace may name packages that it does not hold: the next candidate may be complete.
      if (!isRegistryError(error) || error.code !== 'MISSING_DEPENDENCY') throw error
      last = error
    }
  }
  throw last
}

/**
 * What was published a moment ago by somebody else is refused, and nothing is installed: the policy that is in force where
 * nobody said anything wants a day to pass. Somebody may answer for it.
 */
async function refusedThenAllowed(
  node: DemoNode,
  params: Pick<ApiMethods['install']['params'], 'project' | 'references'>,
  { say, signal }: Pick<Installing, 'say' | 'signal'>
): Promise<InstallResult> {
  const refused = await node.client.call('install', params, { signal }).then(
    () => undefined,
    (error: unknown) => {
      if (isRegistryError(error) && error.code === 'POLICY_DENIED') return error
      throw error
    }
  )
  if (refused === undefined) throw new RegistryError('INTERNAL', 'a release that is a second old was not refused')
  say(`   refused: ${refused.message}`)
  for (const line of refused.tried.slice(0, 3)) say(`   ${cut(line, SHOWN_CHARS)}`)
  const until = new Date(Date.now() + DAY_MS).toISOString().slice(0, 10)
  const reason = 'published by this demo a moment ago'
  say(`   allowed until ${until} by an exception that node 3 signs: --allow release-age demo:* --reason "${reason}"`)
  return node.client.call('install', { ...params, allow: ['release-age', 'demo:*'], until, reason }, { signal })
}

/** The demo shows what it says or it fails. */
function assertFrom(installed: InstallResult['installed'], peerId: string): void {
  for (const { name, from, bytes } of installed) {
    if (from.length === 1 && from[0] === peerId && bytes > 0) continue
    throw new RegistryError(
      'INTERNAL',
      `${name} did not come from node 2 alone but from ${from.join(', ') || 'nowhere'}`
    )
  }
}

function lookAround(folder: string, mirror: string, { installed, published, gossipMs }: DemoResult): readonly string[] {
  const name = installed.at(-1)?.name ?? ''
  return [
    `Done: ${published} published, ${installed.length} installed, ${gossipMs} ms of gossip. Look around:`,
    `  ls ${join(folder, 'project', '.ggen', 'packages')}`,
    `  npx ggen-node --home ${join(folder, 'node3')} search service`,
    `  npx ggen-node --home ${join(folder, 'node3')} show ${name}`,
    `  npx ggen-node --home ${join(folder, 'node2')} start --listen ${mirror.split('/p2p/')[0] ?? ''} --detach`,
    `  npx ggen-node --home ${join(folder, 'node3')} start --listen /ip4/127.0.0.1/tcp/0 --bootstrap ${mirror} --detach`,
    `  npx ggen-node --home ${join(folder, 'node3')} peers    (then stop in place of peers, for node2 too)`,
    `  rm -r ${folder}    when done`
  ]
}

async function stopAll(nodes: readonly DemoNode[]): Promise<void> {
  await Promise.allSettled(nodes.map(node => node.stop()))
}

function nameOf({ name, version }: Published): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}
