import type { CID } from 'multiformats/cid'
import { DAG_PROTOCOL } from '../../protocol/dag/messages.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { firstFew, peersText, shortPeer } from '../../protocol/peer-text.ts'

/** `unreached`: the connection to him was gone before he said anything. */
export type BitswapAnswer = 'nothing' | 'no' | 'unreached'

/** What asking for one block came to, by each way. */
export interface Tried {
  /** As a stream: how many were asked, and what each of them said; undefined when nobody was. */
  readonly dag: { readonly report: string; readonly answers: string } | undefined
  /** Over bitswap: who was asked, and what became of it. */
  readonly bitswap: readonly { readonly peer: string; readonly answer: BitswapAnswer }[]
  /** How long the block was waited for. */
  readonly ms: number
  /** Whom the DHT named; undefined when it was not asked. */
  readonly dht: readonly string[] | undefined
  /** Why known peers are not here: said when there was nobody to ask. */
  readonly troubles: readonly string[]
}

/** Nobody sent it: one error that names every way, who was asked on it, and what they said. */
export function unavailable(cid: CID, { dag, bitswap, ms, dht, troubles }: Tried, cause: unknown): RegistryError {
  const seconds = Math.round(ms / 100) / 10
  const count = (wanted: BitswapAnswer): number => bitswap.filter(({ answer }) => answer === wanted).length
  const gone = count('unreached') === 0 ? '' : `, ${count('unreached')} could not be reached`
  const said = `${count('no')} said no, ${count('nothing')} did not answer in ${seconds} s${gone}`
  const isAlone = dag === undefined && bitswap.length === 0
  const text = isAlone ? 'there was nobody to ask' : `asked ${peersText(bitswap.length)}, ${said}`
  return new RegistryError('CONTENT_UNAVAILABLE', `no peer sent ${cid.toString()}: ${text}`, {
    cause,
    tried: [
      'this node',
      ...(dag === undefined ? [] : [`${dag.report}, over ${DAG_PROTOCOL}`, `over ${DAG_PROTOCOL}: ${dag.answers}`]),
      text,
      ...(isAlone ? troubles.slice(0, LIMITS.fetch.namedPeers) : []),
      ...(bitswap.length === 0 ? [] : [`over bitswap: ${bitswapText(bitswap)}`]),
      dhtText(dht)
    ],
    next: 'connect to a node that mirrors this registry, with `ggen-node connect MULTIADDR`'
  })
}

const BITSWAP_WORDS: Readonly<Record<BitswapAnswer, string>> = {
  nothing: 'did not answer',
  no: 'said no',
  unreached: 'could not be reached'
}

function bitswapText(bitswap: Tried['bitswap']): string {
  const said = bitswap.map(({ peer, answer }) => `${shortPeer(peer)} ${BITSWAP_WORDS[answer]}`)
  return firstFew(said, LIMITS.fetch.namedPeers)
}

function dhtText(dht: readonly string[] | undefined): string {
  if (dht === undefined) return 'the dht was not asked: nobody is here who is part of it'
  return dht.length === 0
    ? 'the dht named nobody'
    : `the dht named ${firstFew(dht.map(shortPeer), LIMITS.fetch.namedPeers)}`
}
