import { caughtUp } from '../daemon.ts'
import { HEARD_MS } from '../heard.ts'
import { tempDir } from '../temp-dir.ts'
import { CONTESTED, VAULT, publish, secretPackage, startAgain, visitAsMember } from './town.ts'
import type { Resident, Town } from './town.ts'

/** What was done, and that it worked. */
export interface Traffic {
  rounds: number
  published: number
  edited: number
  installed: number
  searched: number
  restarted: number
  /** Data directories of newcomers. */
  readonly newcomers: string[]
  /** Versions that were installed under names that the public registry offers too. */
  readonly contested: string[]
}

export interface TrafficOptions {
  /** A new round begins until then. */
  readonly untilMs: number
  /** Every so many rounds somebody joins, and somebody is started again. */
  readonly every: number
}

/**
 * A working day: packages, words, installs and searches in both swarms, people who join, nodes that are started again.
 * Each round is waited for to its end, so that what is told is told while the witnesses are there.
 */
export async function workInTown(town: Town, { untilMs, every }: TrafficOptions): Promise<Traffic> {
  const traffic: Traffic = {
    rounds: 0,
    published: 0,
    edited: 0,
    installed: 0,
    searched: 0,
    restarted: 0,
    newcomers: [],
    contested: []
  }
  do {
    const { rounds } = traffic
    await publishRound(town, traffic)
    await installRound(town, traffic)
    if (rounds % every === every - 1) {
      traffic.newcomers.push(await visitAsMember(town, 'vault-ledger', await tempDir('project')))
      const resident = traffic.restarted % 2 === 0 ? town.node : town.member
      await resident.daemon.stop()
      await startAgain(resident)
      traffic.restarted += 1
      await connectedAgain(town)
    }
    traffic.rounds += 1
  } while (Date.now() < untilMs)
  return traffic
}

async function publishRound({ node, friend, member, vault, square }: Town, traffic: Traffic): Promise<void> {
  const { rounds } = traffic
  await publish(node.daemon, secretPackage(`vault-item-${rounds}`), VAULT)
  await publish(node.daemon, secretPackage('vault-ledger', `1.0.${rounds + 1}`), VAULT)
  await publish(friend.daemon, { name: `square-item-${rounds}`, files: { 'item.txt': `item ${rounds}\n` } })
  traffic.published += 3
  const edit = (resident: Resident, reference: string, value: string) =>
    resident.daemon.client.call('edit', { reference, edits: [{ op: 'put', path: ['title'], value }] })
  await edit(node, `${VAULT}:vault-item-${rounds}`, `Title of vault-item-${rounds}`)
  await edit(friend, `square-item-${rounds}`, `Title of square-item-${rounds}`)
  traffic.edited += 2
  await Promise.all([
    caughtUp(node.daemon, member.daemon, vault, { kept: true }),
    caughtUp(friend.daemon, node.daemon, square)
  ])
}

async function installRound({ node, member }: Town, traffic: Traffic): Promise<void> {
  const { rounds } = traffic
  const install = async (resident: Resident, ...references: readonly string[]) => {
    const project = await tempDir('project')
    const { installed } = await resident.daemon.client.call('install', { references, project, force: false })
    traffic.installed += installed.length
    return installed
  }
  await install(member, `${VAULT}:vault-item-${rounds}`)
  await install(node, `square:square-item-${rounds}`)
  for (const { version } of await install(rounds % 2 === 0 ? node : member, ...CONTESTED)) {
    traffic.contested.push(version)
  }
  for (const query of ['vault', 'square']) {
    await node.daemon.client.call('search', { query, limit: 20 })
    traffic.searched += 1
  }
}

/** Member and node see each other again, and both see the friend. */
async function connectedAgain({ node, member, vault, square }: Town): Promise<void> {
  const wait = (resident: Resident, registry: string) =>
    resident.daemon.client.call('waitFor', { registry, facts: 1, peers: 1, kept: false, timeoutMs: HEARD_MS })
  for (const resident of [node, member]) for (const registry of [vault, square]) await wait(resident, registry)
}
