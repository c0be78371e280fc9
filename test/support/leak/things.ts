import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { DEFAULT_CONFIG } from '../../../node/config.ts'
import { createNode } from '../../../node/create-node.ts'
import { takeHome } from '../../../node/home.ts'
import { swarmKeyOf } from '../../../node/p2p/swarm-key.ts'
import { openLog } from '../../../node/runtime/log.ts'
import { digestOf, parseFactId, parseRegistryId } from '../../../protocol/cid.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { parsePrincipal, publicKeyOf } from '../../../protocol/did.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import type { Envelope } from '../../../protocol/fact.ts'
import { privateKeys, privateNames } from '../../../protocol/membership/names.ts'
import { listKeys, readKey } from '../../../storage/key-files.ts'
import { storedBlocks } from '../stored-blocks.ts'
import { bytesThing, cidThing, keyThing, textThing } from './needles.ts'
import type { Thing } from './needles.ts'

/** What a data directory holds of some registries, read from its own stores while no node runs on it. */
export async function factThings(home: string, registries: readonly string[]): Promise<readonly Thing[]> {
  const taken = await takeHome(home)
  try {
    const log = await openLog({ level: 'silent' })
    const node = await createNode({ home: taken, config: DEFAULT_CONFIG, version: '0.0.0', network: false, log })
    try {
      const things: Thing[] = []
      for (const id of registries.map(parseRegistryId)) {
        for await (const bytes of node.parts.facts.snapshot(id)) things.push(...thingsOfFact(parseEnvelope(bytes)))
      }
      return things
    } finally {
      await node.stop()
    }
  } finally {
    await taken.close()
  }
}

/** Its id, who says it, in which chain, about what, and every id, key and longer row of bytes in what it says. */
function thingsOfFact({ id, body, bytes }: Envelope): readonly Thing[] {
  const subject = body.subject === 'registry' ? [] : [textThing('name', body.subject.split('/').at(-1) ?? '')]
  return [
    cidThing('fact', id),
    bytesThing('fact', `the digest of ${id}`, digestOf(parseFactId(id))),
    keyThing('key', body.author, publicKeyOf(body.author)),
    bytesThing('chain', `chain ${body.chain}`, Buffer.from(body.chain, 'hex')),
    ...subject,
    ...thingsIn(decodeCbor(bytes))
  ]
}

const LONG_BYTES = 16

function thingsIn(value: unknown): readonly Thing[] {
  const cid = CID.asCID(value)
  if (cid !== null) return [cidThing('content', cid.toString())]
  if (typeof value === 'string' && value.startsWith('did:key:z6Mk')) {
    return [keyThing('key', value, publicKeyOf(parsePrincipal(value)))]
  }
  if (value instanceof Uint8Array) {
    // The body of an envelope is bytes that are cbor themselves.
    const inner = value.length > 64 ? decodedOrNothing(value) : undefined
    if (inner !== undefined) return thingsIn(inner)
    return value.length < LONG_BYTES ? [] : [bytesThing('fact', `${value.length} bytes of a fact`, value)]
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(thingsIn) : []
}

function decodedOrNothing(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes)
  } catch {
    return undefined
  }
}

/** Every block below a folder of blocks, by its multihash: what is there, whatever it belongs to. */
export async function blockThings(folder: string): Promise<readonly Thing[]> {
  return (await storedBlocks(folder)).map(({ cid }) => cidThing('block', cid.toString()))
}

/** All secret keys of a data directory. None of them, of whatever swarm, is for anybody else. */
export async function secretThings(home: string): Promise<readonly Thing[]> {
  const folder = join(home, 'keys')
  const names = await listKeys(folder)
  return await Promise.all(
    names.map(async name => bytesThing('secret', `the key file ${name}`, await readKey(folder, name)))
  )
}

/** What a swarm secret makes of itself: names that only members know, and keys that nobody is told. */
export function swarmThings(secret: Uint8Array, registry: RegistryId): readonly Thing[] {
  const names = privateNames(secret)
  const { hello, psk } = privateKeys(secret)
  return [
    bytesThing('secret', 'the swarm secret', secret),
    bytesThing('secret', 'the key of the hello', hello),
    bytesThing('secret', 'the pre-shared key', psk),
    textThing('topic', names.kadProtocol),
    textThing('topic', names.topicOf(registry)),
    textThing('topic', names.mdnsTag.split('.')[0] ?? '')
  ]
}

/** The peer id that a key file of a swarm stands for. */
export async function peerThing(home: string, keyName: string): Promise<Thing> {
  const { publicKey } = await swarmKeyOf(await readKey(join(home, 'keys'), keyName))
  return keyThing('peer', `the host of ${keyName}`, publicKey.raw)
}

/** What is only among the first: a key that also signs in public is no secret. */
export function without(things: readonly Thing[], open: readonly Thing[]): readonly Thing[] {
  const known = new Set(open.map(keyOf))
  // What is said first of a thing says best what it is.
  return things.filter(thing => {
    const key = keyOf(thing)
    return known.has(key) ? false : known.add(key)
  })
}

function keyOf({ form, bytes }: Thing): string {
  // A content id is its multihash, whatever codec it comes with.
  const what = form === 'cid' ? CID.decode(bytes).multihash.bytes : bytes
  return `${form} ${Buffer.from(what).toString('base64')}`
}
