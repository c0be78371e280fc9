const KiB = 1024
const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR

/** Bounds of policies: what may be written into one, and how much a rule may make a computer do. */
export const POLICY_LIMITS = Object.freeze({
  fileBytes: 64 * KiB,
  /** of a policy that a registry publishes: it has to fit into a fact, whatever its characters are */
  registryChars: 12 * KiB,
  /** policies of one registry that were made at the same time, and all hold */
  concurrent: 4,
  rules: 64,
  /** how many auditors the preset `strict` can be told to ask for: as many as signatures in one envelope */
  auditors: 16,
  /** of an id: it is typed on the command line, and programs compare it */
  idChars: 40,
  expressionChars: 2_000,
  messageChars: 300,
  /** nodes of one expression, and how deep they lie in one another */
  astNodes: 400,
  astDepth: 24,
  listElements: 128,
  callArguments: 4,
  /** `exists` within `filter` is two: with lists of `listed` entries, 64 * 64 steps are the most a rule can take */
  nesting: 2,
  /** that all rules of one policy take for one release, a fifth of a second: a walk within a walk is 64 * 64 for each of its nodes */
  steps: 2_000_000,
  /** of a question about a licence, which names at most about so many */
  licenceSteps: 64,
  /** entries of a list that a rule sees, and characters of a text */
  listed: 64,
  textChars: 512,
  /** exceptions in one policy */
  exceptions: 256,
  exceptionKeys: 32,
  reasonChars: 300,
  whoChars: 100,
  /** signed exceptions of one project, and how long one may hold */
  exceptionFileBytes: 512 * KiB,
  exceptionBytes: 1 * KiB,
  signedExceptions: 500,
  exceptionMs: 366 * DAY,
  /** how far in the future one may have been signed: clocks differ */
  exceptionSkewMs: 5 * 60 * 1000,
  /** how old a key must be in a package before another one beside it is noticed */
  oldKeyMs: 30 * DAY,
  /** earlier versions that a release is compared with */
  compared: 3,
  /** what a registry that was never compared with anybody is called: a hundred years */
  neverHours: 876_000,
  /** what came within this time after the first fact of a registry was there before anybody here looked */
  firstLookMs: HOUR,
  /** deltas between an audit in full and what it is taken for, and releases that are looked at for them */
  auditLinks: 16,
  auditBases: 64,
  /** policies in force at a time */
  layers: 64,
  /** of one receipt, and how many of them a project keeps */
  receiptBytes: 64 * 1024 * KiB,
  receipts: 20,
  /** refused packages that an error names, and other versions that are looked at to find one that passes */
  named: 20,
  /** refusals by one rule each that one answer tells programs of */
  denials: 10_000,
  alternatives: 20,
  /** releases judged at a time before others get their turn */
  releasesPerTurn: 50
})
