import type { PeerScoreParams, TopicScoreParams } from '@libp2p/gossipsub/score'
import { isPrivateIp } from './address.ts'
import { CUT_BELOW } from './conduct.ts'

const HOUR = 60 * 60 * 1_000

/** Scores below which a peer hears no gossip, gets no publications, is not listened to; docs/spec/gossip.md. */
export const SCORE_THRESHOLDS = Object.freeze({
  gossipThreshold: -500,
  publishThreshold: -1_000,
  graylistThreshold: CUT_BELOW,
  acceptPXThreshold: 1_000,
  opportunisticGraftThreshold: 3.5
})

/** Scores of one topic. Rare topics punish silence, so delivery in the mesh weighs nothing. */
export const TOPIC_SCORE: TopicScoreParams = Object.freeze({
  topicWeight: 0.5,
  timeInMeshWeight: 0.033,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 300,
  firstMessageDeliveriesWeight: 1,
  firstMessageDeliveriesDecay: 0.99,
  firstMessageDeliveriesCap: 50,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 100,
  meshMessageDeliveriesThreshold: 20,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  // 8 invalid messages within the hour: 0.5 * -100 * 64 = -3200, which is below the graylist
  invalidMessageDeliveriesWeight: -100,
  invalidMessageDeliveriesDecay: 0.9987
})

/** Addresses that share no fate: an office behind one NAT is many honest nodes, a public address with many is not. */
class PrivateAddresses extends Set<string> {
  override has(ip: string): boolean {
    return isPrivateIp(ip)
  }
}

/** gossipsub's score of a peer over all topics. */
export function peerScoreParams(allowPeers: ReadonlySet<string>): PeerScoreParams {
  return {
    topics: {},
    topicScoreCap: 50,
    appSpecificScore: peer => (allowPeers.has(peer) ? 200 : 0),
    appSpecificWeight: 1,
    IPColocationFactorWeight: -50,
    IPColocationFactorThreshold: 3,
    IPColocationFactorWhitelist: new PrivateAddresses(),
    behaviourPenaltyWeight: -10,
    behaviourPenaltyThreshold: 6,
    behaviourPenaltyDecay: 0.999,
    decayInterval: 1_000,
    decayToZero: 0.01,
    retainScore: 6 * HOUR
  }
}
