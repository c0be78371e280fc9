const SECOND = 1000
const MINUTE = 60 * SECOND

/** Of connections and their handshakes: how many, how often, how long. Part of `LIMITS`. */
export const CONNECTION_LIMITS = Object.freeze({
  total: 128,
  inbound: 64,
  inboundPerHostPerSecond: 5,
  /** the same for one loopback or private address: an office behind one NAT, a bench of 100 nodes */
  inboundPerPrivateHostPerSecond: 200,
  hostsTracked: 1_024,
  /** handshakes under way, in all; one public address has a few of them, so that no stranger holds all */
  pendingInbound: 64,
  pendingPerAddress: 4,
  /** all that come from loopback or private addresses, which can be an office behind one router */
  pendingPrivate: 48,
  perAddress: 8,
  perSubnet: 16,
  perPrivateRange: 128,
  upgradeTimeoutMs: 5 * SECOND,
  dialTimeoutMs: 10 * SECOND,
  /**
   * one address of several, its handshake included: behind a router, the first ones are often those of another site, where
   * nobody answers; a member that is busy takes seconds, and a handshake that is given up was work for nothing on both sides
   */
  addressDialMs: 6 * SECOND,
  /** and until there is a socket, where there is another address to be tried, and somebody waits for the peer */
  addressOpenMs: (3 * SECOND) / 4,
  negotiationTimeoutMs: 5 * SECOND,
  dialQueue: 200,
  parallelDials: 32,
  banMs: 30 * MINUTE,
  banMaxMs: 24 * 60 * MINUTE,
  redialMs: 5 * SECOND,
  /** so often at that pace, two minutes, before the pauses get longer: a split heals as soon as it can */
  redialsInARow: 24,
  redialMaxMs: 2 * MINUTE,
  /** each side of a connection asks so often whether the other is alive */
  aliveEveryMs: 10 * SECOND,
  /**
   * and looks so often whether anything has come; after so many looks in a row at which nothing had, the connection is over. A machine
   * that is busy answers late, and cutting it costs both sides a new handshake, which makes it no less busy
   */
  aliveLookMs: 5 * SECOND,
  aliveLooks: 12,
  closeMs: SECOND,
  /**
   * for whoever wants bytes while nobody is here: how often and how long it is looked for an open socket, a second in all; how often
   * for the first word on one, once for each address, five seconds in all; how long introductions are waited for, all of them together, and in what time that budget is whole again; and how soon after a search
   * in vain the next one begins: so many times as long as it took, twice as late each time, between two bounds
   */
  company: Object.freeze({
    looks: 4,
    lookMs: SECOND / 4,
    silentLooks: 20,
    patienceMs: 20 * SECOND,
    refillMs: 5 * MINUTE,
    vainMs: 10 * SECOND,
    vainFactor: 60,
    vainMaxMs: 5 * MINUTE
  }),
  /** connections that one call to a peer tries: the other side may have opened one, or one may be as old as its reason */
  helloTries: 3,
  /** how often an introduced peer that stays silent is asked what it speaks, each time with twice as much patience */
  identifyTries: 5,
  bansRemembered: 1_000
})
