import { SETTINGS } from '../../node/config-schema.ts'
import type { SettingValue } from '../../node/config-schema.ts'
import type { Flags } from '../../node/config.ts'
import type { NodeStatus } from '../../node/services/api.ts'
import type { ShownSwarm } from '../../node/services/swarm/methods.ts'
import { JSON_VERSION, bytesText, print, printJson, report, safe, table } from './print.ts'
import type { Options, Session } from './run.ts'
import { sourceLines } from './source-note.ts'
import { gutter, nextStep } from './style.ts'
import { aliasText, swarmNotes, swarmRows } from './swarm-text.ts'

/** `ggen-node start`: runs until a signal or `ggen-node stop` ends it. */
export async function start(session: Session, options: Options): Promise<void> {
  const settings = { home: session.home, flags: flagsOf(options) }
  if (options['detach'] === true) {
    const { startDetached } = await import('../../node/detach.ts')
    const started = await startDetached(settings, process.argv[1] ?? '', session.signal)
    report(session, started, () => [
      gutter('Started', `process ${started.pid}, log ${started.log}`),
      ...listeningLines(started.addresses),
      nextStep('ggen-node status, ggen-node peers, ggen-node stop')
    ])
    return
  }
  const { runDaemon } = await import('../../node/daemon.ts')
  await runDaemon(settings, session.signal, ({ peerId, addresses, http, key }) => {
    if (session.json)
      printJson({ ok: true, v: JSON_VERSION, listening: true, peerId, addresses, http, key, pid: process.pid })
    else {
      for (const line of listeningLines(addresses)) print(line)
      for (const { address, serves } of http) print(gutter('Answering', `http://${address}, ${serves.join(' and ')}`))
      print(gutter('Key', key))
      print(nextStep('stop it with Ctrl-C or ggen-node stop'))
    }
  })
  if (!session.json) print(gutter('Stopped', `process ${process.pid}`))
}

function listeningLines(addresses: readonly string[]): readonly string[] {
  if (addresses.length === 0) return [gutter('Listening', 'nowhere: this node only dials', 'note')]
  return addresses.map(address => gutter('Listening', address))
}

/** The options that were given, by their names. One that was not leaves the setting to the environment and the file. */
function flagsOf(options: Options): Flags {
  const flags: Record<string, SettingValue> = {}
  for (const { flag } of SETTINGS) {
    const value = flag === undefined ? undefined : options[flag]
    if (flag === undefined) continue
    if (typeof value === 'string' || typeof value === 'boolean') flags[flag] = value
    else if (Array.isArray(value)) flags[flag] = value.map(String)
  }
  return flags
}

/** `ggen-node stop`. */
export async function stop(session: Session): Promise<void> {
  const { stopDaemon } = await import('../../node/open-client.ts')
  const { pid } = await stopDaemon(session.home, session.signal)
  report(session, { pid, stopped: pid !== null }, () => [
    pid === null ? gutter('Unchanged', 'no node is running', 'same') : gutter('Stopped', `process ${pid}`)
  ])
}

/** `ggen-node status`. */
export async function status(session: Session): Promise<void> {
  const { status: node, swarms, isDaemon } = await withStatus(session)
  const now = Date.now()
  report(session, { running: isDaemon, ...node, swarms }, () => [
    ...table([
      ['Node', isDaemon ? `running, process ${node.pid}` : 'not running (ggen-node start)'],
      ['Version', node.version],
      ['Home', node.home],
      ['Key', node.key],
      ...(node.peerId === null ? [] : [['Peer id', node.peerId]]),
      ...node.addresses.map(address => ['Address', address]),
      ...node.http.map(({ address, serves }) => ['HTTP', `http://${address}, ${serves.join(' and ')}`]),
      ['Peers', String(node.peers)],
      [
        'Keeps',
        node.keep === 'all'
          ? `everything: ${node.kept} roots here, ${node.fetching} to fetch`
          : 'what is installed or published here'
      ],
      ...swarmRows(swarms, now),
      ...(isDaemon ? activityRows(node) : []),
      ['Memory', bytesText(node.memoryBytes)],
      ['Disk', `${bytesText(node.disk.freeBytes)} free${node.readOnly ? ', nearly full or failing: read-only' : ''}`]
    ]),
    ...registryLines(node, swarms),
    ...swarmNotes(swarms, now)
  ])
}

function activityRows({ uptimeMs, activity, traffic }: NodeStatus): readonly (readonly string[])[] {
  const { facts, bytesIn, bytesOut, perSecond } = activity
  return [
    ['Up', `${Math.round(uptimeMs / 1000)} s`],
    [
      'Facts',
      `${facts.accept} taken, ${facts.pending} pending, ${facts.ignore} known or ignored, ${facts.reject} rejected; ${perSecond.facts}/s`
    ],
    ['Received', `${bytesText(bytesIn)}, ${bytesText(Math.round(perSecond.bytesIn))}/s`],
    ['Sent', `${bytesText(bytesOut)}, ${bytesText(Math.round(perSecond.bytesOut))}/s`],
    // With one swarm it is the same again.
    ...(traffic.length < 2 ? [] : traffic.map(each => [`in ${safe(each.swarm)}`, trafficText(each)]))
  ]
}

function trafficText({ bytesIn, bytesOut, perSecond }: NodeStatus['traffic'][number]): string {
  const way = (bytes: number, rate: number): string => `${bytesText(bytes)}, ${bytesText(Math.round(rate))}/s`
  return `received ${way(bytesIn, perSecond.bytesIn)}; sent ${way(bytesOut, perSecond.bytesOut)}`
}

interface Seen {
  readonly status: NodeStatus
  readonly swarms: readonly ShownSwarm[]
  readonly isDaemon: boolean
}

async function withStatus(session: Session): Promise<Seen> {
  const { openClient } = await import('../../node/open-client.ts')
  const opened = await openClient({ home: session.home, network: false, create: false })
  try {
    const { client, isDaemon } = opened
    return { status: await client.call('status', {}), swarms: await client.call('swarmList', {}), isDaemon }
  } finally {
    await opened.close()
  }
}

function registryLines({ registries }: NodeStatus, swarms: readonly ShownSwarm[]): readonly string[] {
  if (registries.length === 0) return ['No registry yet: ggen-node init, or ggen-node registry add ID@ADDRESS']
  const rows = table([
    ['REGISTRY', 'PACKAGES', 'RELEASES', 'FACTS', 'PENDING', 'DIGEST', 'ID'],
    ...registries.map(entry => [
      aliasText(entry, swarms),
      String(entry.packages),
      String(entry.releases),
      String(entry.facts),
      String(entry.pending),
      entry.digest.slice(0, 16),
      entry.id
    ])
  ])
  return [...rows, ...sourceLines(registries)]
}
