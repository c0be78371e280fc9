import { readFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { HEARD_MS } from '../heard.ts'
import type { Heard } from './stranger.ts'
import type { Thing } from './needles.ts'
import type { Plant } from './plants.ts'
import type { Traffic } from './traffic.ts'
import { endTown, expelFormer, startAgain, vaultThings } from './town.ts'
import type { Expulsion, Town } from './town.ts'
import { portOf, toldIn as linesIn, unasked } from './watchers.ts'
import type { Watchers } from './watchers.ts'

/** A day in town, told when it is over. */
export interface Day {
  readonly town: Town
  readonly watchers: Watchers
  readonly traffic: Traffic
  readonly expulsion: Expulsion
  readonly heard: readonly Heard[]
  readonly things: readonly Thing[]
}

/** Lets work happen while the strangers look on and the former member comes back as if nothing had been. */
export async function aDay(town: Town, watchers: Watchers, work: () => Promise<Traffic>): Promise<Day> {
  const expulsion = await expelFormer(town)
  const traffic = await work()
  await watchers.visit()
  const heard = [await watchers.curious.report(), await watchers.knowing.report()]
  await endTown(town)
  const things = await vaultThings(town, traffic.newcomers)
  return { town, watchers, traffic, expulsion, heard, things }
}

/**
 * Without what docs/spec/hello.md, section 6, says that multicast DNS shows: that a swarm is on the local network, under a
 * name that says nothing, and the peer ids of its hosts there.
 */
function beyondMdns(lines: readonly string[]): readonly string[] {
  return lines.filter(line => !/^(topic _[0-9a-f]{14}|peer the host of \S+) .* on mdns /.test(line))
}

/** What a member must have been told, or nothing was there to be told to others. */
const KINDS = ['block', 'chain', 'content', 'fact', 'key', 'name', 'text']

/** The claims of a day, one test each. */
export function claims(day: () => Day): void {
  /** Lines, with the names of those who said it. */
  const toldIn = async (...[things, recordings, options]: Parameters<typeof linesIn>): Promise<readonly string[]> =>
    (await linesIn(things, recordings, options)).map(line =>
      line.replaceAll(/12D3KooW\w{44}/g, peer => day().town.hosts.get(peer) ?? peer)
    )

  test('it was at work all the time, and its member was told of everything', async () => {
    const { traffic, things, town } = day()
    expect(Math.min(traffic.published, traffic.edited, traffic.installed, traffic.searched)).toBeGreaterThan(0)
    expect(things.length).toBeGreaterThan(50)
    const lines = await toldIn(things, town.member.recordings)
    for (const kind of KINDS) expect(lines.filter(line => line.startsWith(`${kind} `)).length, kind).toBeGreaterThan(0)
  })

  test('strangers were let into the public swarm, asked about everything, and were told what is public', () => {
    const { watchers, town, heard } = day()
    const { accepted, answers, rumours } = watchers
    expect(new Set(accepted)).toEqual(new Set([true]))
    expect(answers.filter(({ about, tells }) => about === town.square && tells).map(({ to }) => to)).toEqual(
      expect.arrayContaining(['facts', 'snapshot', 'sync'])
    )
    const asked = new Set([...answers, ...heard.flatMap(each => each.answers)].map(({ to, about }) => `${to} ${about}`))
    for (const cid of rumours.cids) for (const to of ['bitswap', 'kad']) expect(asked).toContain(`${to} ${cid}`)
    for (const registry of rumours.registries) expect(asked).toContain(`sync ${registry}`)
  })

  test('nothing private is told to a stranger or to a friend, in any spelling', async () => {
    const { watchers, things, town } = day()
    const exceptFrom = watchers.gossips
    expect(beyondMdns(await toldIn(things, [watchers.curious.recording], { exceptFrom }))).toEqual([])
    expect(await toldIn(things, town.friend.recordings, { exceptFrom })).toEqual([])
  })

  test('who asks for what he has heard of is not told that it is there', async () => {
    const { watchers, things, town, heard } = day()
    const answers = [...watchers.answers, ...heard.flatMap(each => each.answers)]
    expect(answers.filter(({ about, tells }) => tells && about !== town.square)).toEqual([])
    expect(beyondMdns(await toldIn(unasked(things, watchers.rumours), [watchers.knowing.recording]))).toEqual([])
  })

  test('who has the pre-shared key, or needs none, and is no member gets as far as a closed door', async () => {
    const { watchers, things } = day()
    expect(watchers.reached).toContain(true)
    expect(await toldIn(things, [watchers.holder.recording])).toEqual([])
  })

  test('all that strangers heard of are the registry, the topic and the names of the public swarm', () => {
    const { heard, town, watchers } = day()
    for (const { registries, topics, peers } of heard) {
      expect(registries).toEqual([town.square])
      const named = topics.filter(({ peer }) => !watchers.gossips.includes(peer)).flatMap(each => each.topics)
      expect(new Set(named)).toEqual(new Set([`/ggen/1/${town.square}/facts`]))
      const spoken = new Set(peers.flatMap(({ protocols }) => protocols))
      expect(spoken).toContain('/ggen/kad/1.0.0')
      expect([...spoken].filter(protocol => watchers.rumours.protocols.includes(protocol))).toEqual([])
      expect([...spoken].filter(protocol => /member/.test(protocol))).toEqual([])
    }
  })

  test('who was expelled comes back with all he had, and is told nothing', async () => {
    const { town, expulsion, things, watchers } = day()
    const { recordings, outgoing } = town.former
    expect(expulsion.cutMs).toBeLessThan(HEARD_MS)
    // He was told before, and he did come back.
    expect(await toldIn(things, recordings, { until: expulsion.since })).not.toEqual([])
    const dialled = await readFile(outgoing.at(-1) ?? '', 'utf8')
    expect(dialled).toContain(`:${portOf(town.privateDoor)}\n`)
    expect(await toldIn(things, recordings, { since: expulsion.since, exceptFrom: watchers.gossips })).toEqual([])
  })

  test('a private name that the public registry offers in a higher version is never taken from there', () => {
    const { contested } = day().traffic
    expect(contested.length).toBeGreaterThan(0)
    expect(new Set(contested)).toEqual(new Set(['1.0.0']))
  })
}

/** The node and its friend live on, so that leaks can be planted. */
export async function reopen({ node, friend }: Town): Promise<void> {
  await startAgain(friend)
  await startAgain(node)
}

const hidden = (day: Day, kind: Thing['kind']): string =>
  day.things.find(({ kind: each, label }) => each === kind && !day.watchers.rumours.cids.includes(label))?.label ?? ''

/** Leaks that the witnesses must find. What the last one opens stays open, so it is the last. */
export const PLANTS: readonly (readonly [string, (day: Day) => Plant])[] = [
  [
    'a topic of the private swarm on the public host',
    day => ({ plant: 'topic', topic: day.watchers.rumours.topics[0] ?? '' })
  ],
  [
    'the private DHT on the public host',
    day => ({ plant: 'protocol', protocol: day.watchers.rumours.protocols[0] ?? '' })
  ],
  ['private content announced in the public DHT', day => ({ plant: 'provide', cid: hidden(day, 'content') })],
  ['private content looked for in the public DHT', day => ({ plant: 'look-up', cid: hidden(day, 'content') })],
  ['private content asked for in the public swarm', day => ({ plant: 'want', cid: hidden(day, 'content') })],
  ['private blocks behind the public bitswap', () => ({ plant: 'blocks' })],
  ['the private registry followed in public', day => ({ plant: 'follow', registry: day.town.vault })]
]

/** Plants one leak in the running node and waits until a witness was told. */
export async function isFound(day: Day, order: Plant): Promise<readonly string[]> {
  const { town, watchers, things } = day
  const options = { since: Date.now(), exceptFrom: watchers.gossips }
  await town.node.daemon.plant(order)
  await watchers.visit('public')
  const look = async (): Promise<readonly string[]> => [
    ...(await linesIn(things, [watchers.curious.recording, town.friend.daemon.recording], options)),
    ...(await linesIn(unasked(things, watchers.rumours), [watchers.knowing.recording], options))
  ]
  return await vi.waitUntil(async () => await look().then(lines => lines.length > 0 && lines), {
    timeout: 60_000,
    interval: 500
  })
}
