/** One resolution. A hostile registry can make any of them run out, and must not hold up a node for long. */
export const SOLVER_LIMITS = Object.freeze({
  /** statements looked at and versions compared with a range, all in all */
  steps: 10_000_000,
  /** the same for one optional dependency */
  optionalSteps: 200_000,
  optionalTries: 256,
  /** steps between two pauses in which others get their turn */
  stepsPerTurn: 500_000,
  /** packages looked up, versions of one, and names asked for at once */
  packages: 4_096,
  versionsPerPackage: 8_192,
  namesPerRound: 256,
  statements: 100_000,
  wishes: 1_024,
  /** missing names that are compared with all names of the registry */
  nearLookUps: 3,
  /** what is printed of a failure */
  lines: 64,
  versionsShown: 10,
  piecesOfRange: 6
})
