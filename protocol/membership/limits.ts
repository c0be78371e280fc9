const KiB = 1024
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Bounds of private swarms: invites, certificates, the introduction of members (docs/spec/membership.md, docs/spec/hello.md). */
export const MEMBERSHIP_LIMITS = Object.freeze({
  /** Positions that one invite may have: 16 chains of one key, each so long. */
  inviteUses: 1_024,
  inviteDefaultMs: 7 * DAY,
  inviteMaxMs: 365 * DAY,
  certificateMs: 30 * DAY,
  /** A certificate is renewed when so much of its life is left, and people are warned from there. */
  renewFromLeftMs: 10 * DAY,
  /** Of a certificate that a member with a grant that expires signs for itself. */
  ownCertificateMs: 1 * DAY,
  ciGrantDefaultMs: 90 * DAY,
  certificateBytes: 1 * KiB,
  bindingBytes: 1 * KiB,
  /** Facts shown in an introduction, so that who has not heard of a member yet can let it in. */
  evidenceFacts: 4,
  evidenceBytes: 16 * KiB,
  /** How often what a member shows may be tried in the fold: at once, and in the long run. */
  evidenceBurst: 16,
  evidencePerSecond: 0.25,
  /** The same for all uses that the key of one invite has signed. */
  inviteEvidenceBurst: 64,
  inviteEvidencePerSecond: 1,
  helloBytes: 24 * KiB,
  /** The same for the two messages before either side has shown that it knows a secret. */
  openingBytes: 256,
  /** Streams of `/ggen/member/1` on one connection, each way. */
  streams: 2,
  /** Members of one private registry, and rows of its roster. */
  members: 10_000,
  /** Hosts of one member in a roster. One fewer are certified at a time, so that whoever comes next finds a place. */
  hostsPerMember: 64,
  rosterPage: 64,
  rosterPages: 160,
  requestBytes: 4 * KiB,
  responseBytes: 128 * KiB,
  requestsPerStream: 256,
  requestsInFlight: 16,
  /** Of those, so many of one peer, on whatever streams and connections. */
  requestsInFlightPerPeer: 4,
  /** More than one walk through the largest roster. */
  requestsPerPeerPerMinute: 240,
  /** Between two walks through the roster of one peer. */
  rosterEveryMs: 10 * MINUTE,
  /** Peers whose rosters and requests are told apart. */
  peersTracked: 1_024,
  timeoutMs: 10 * SECOND,
  clockSkewMs: 5 * MINUTE,
  /** How often standings and certificates are looked at when nothing else makes anybody look. */
  recheckMs: 1 * MINUTE,
  /** Who is certified and in no fact here yet stays so long, when the set was compared to the end meanwhile. */
  graceMs: 10 * MINUTE,
  overlapDefaultMs: 1 * DAY,
  overlapMaxMs: 30 * DAY,
  /** Old secrets that a hello is still held under during an overlap. */
  oldSecrets: 1,
  swarmKeyBytes: 1 * KiB,
  /** How far one record may be ahead of the secret that is known. */
  epochsAtOnce: 1_024,
  /** Hosts whose proof is kept to be weighed again, and hosts of expelled members that no row of the roster names. */
  shownHosts: 4_096,
  /** Certified keys that no fact here names yet. */
  unknownMembers: 1_024,
  /** Keys that are named where several claim a place of an invite that is ended. */
  rivalsShown: 64,
  tokenChars: 2_048,
  tokenAddresses: 4,
  tokenAddressChars: 255,
  /** Private swarms of one node. */
  swarms: 32,
  joinTries: 8,
  joinAgainMs: 250,
  /** No try is begun later than this after the first. */
  joinForMs: 30 * SECOND,
  /** Who has just joined waits so long for a certificate. */
  certifyPatienceMs: 5 * SECOND
})
