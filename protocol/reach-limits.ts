const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Bounds of how nodes find and reach each other: relays, the pre-shared key, remembered peers. docs/decisions/0014-reach.md. */
export const REACH_LIMITS = Object.freeze({
  psk: Object.freeze({
    keyBytes: 32,
    /** the newest, and during a rotation's overlap the one before it */
    keys: 2,
    /** remote addresses of which it is remembered that they took the older key */
    addresses: 1_024,
    /** what the cipher is given at once: it copies it into a memory of its own, which must never have to grow */
    pieceBytes: 64 * KiB
  }),
  relay: Object.freeze({
    /** of a relay: as many as may be connected to it, so that nobody who got in is told that there is no room */
    reservations: 64,
    reservationMs: 60 * MINUTE,
    /** of one relayed connection, both directions together: the largest package once, with a half more for framing and talk */
    bytes: 768 * MiB,
    /** of one relayed connection: longer than the longest fetch of one package is waited for */
    durationMs: 15 * MINUTE,
    /** relayed connections that one peer may have open through this relay, to others and from others */
    circuitsPerPeer: 16,
    handshakeMs: 10 * SECOND,
    /** of whoever uses relays: how many it keeps a place at */
    used: 2,
    reserveMs: 5 * SECOND,
    waitingReservations: 16,
    /** relayed connections that are let in at all, and through one relay */
    inbound: 32,
    inboundPerRelay: 16,
    inboundPerRelayPerSecond: 5
  }),
  webSocket: Object.freeze({
    /** of one frame; ours have 64 KiB and a little */
    frameBytes: 4 * MiB,
    /** sockets of one listener, whatever they have got to: all that may be connected, and some in between */
    sockets: 128,
    /** from the first byte to the end of the HTTP request */
    requestMs: 5 * SECOND,
    requestBytes: 16 * KiB
  }),
  holePunch: Object.freeze({ streams: 1, timeoutMs: 5 * SECOND, retries: 3 }),
  remembered: Object.freeze({
    peers: 256,
    addressesPerPeer: 4,
    addressBytes: 512,
    /** one peer is written down again after so long even when nothing has changed but the time */
    rewriteMs: 10 * MINUTE,
    /** nobody is looked for again after so long */
    ageMs: 60 * 24 * 60 * MINUTE,
    /** with fewer peers than this, those that were here before are dialled */
    fewPeers: 3,
    /** with fewer than this, those are dialled that were found on the local network */
    enoughPeers: 32,
    /** found on the local network and not forgotten yet */
    neighbours: 128,
    dialsAtOnce: 8,
    dialMs: 5 * SECOND,
    /** after a start: the configured peers come first; and after a peer was found on the local network */
    afterMs: 500,
    everyMs: 5 * SECOND,
    /** a peer that was not reached is left alone for that long, doubled each time */
    pauseMs: 10 * SECOND,
    pauseMaxMs: 10 * MINUTE
  })
})
