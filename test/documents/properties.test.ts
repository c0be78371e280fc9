import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Engine } from '../../node/documents/engine.ts'
import { append } from '../../protocol/document/assemble.ts'
import { fingerprintOf } from '../../protocol/document/counted.ts'
import type { MetadataFact, UpdateResult } from '../../protocol/document/document.ts'
import {
  buildOf,
  counted,
  expectedHolders,
  freeBuilds,
  holdersOf,
  knowledgeOf,
  moves,
  play,
  shownOf,
  statusesOf
} from '../support/documents/world.ts'
import type { Said } from '../support/documents/world.ts'
import { keyOf } from '../../protocol/document/edits.ts'

const TIMEOUT = 60_000
const SEED = 5

function holds<T>(property: fc.IPropertyWithHooks<T>, numRuns: number): void {
  fc.assert(property.afterEach(freeBuilds), { numRuns, seed: SEED })
}

function shuffled<T>(all: readonly T[], keys: Iterator<number>): readonly T[] {
  return all
    .map(one => ({ one, key: Number(keys.next().value) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ one }) => one)
}

describe('whoever knew what, forked, lied or rolled over', () => {
  test(
    'any order of facts gives the same document',
    () => {
      holds(
        fc.property(moves(), fc.infiniteStream(fc.nat()), (list, keys) => {
          const facts = counted(play(list))
          expect(shownOf(buildOf(shuffled(facts, keys)))).toEqual(shownOf(buildOf(facts)))
        }),
        80
      )
    },
    TIMEOUT
  )

  test(
    'a document holds each value that nobody replaced who knew of it, and no other',
    () => {
      holds(
        fc.property(moves(), list => {
          const facts = counted(play(list))
          const build = buildOf(facts)
          expect(holdersOf(build)).toEqual(expectedHolders(facts, statusesOf(build)))
        }),
        100
      )
    },
    TIMEOUT
  )

  test(
    'no edit of one who told the truth is refused',
    () => {
      holds(
        fc.property(moves(), list => {
          const facts = counted(play(list))
          const statuses = statusesOf(buildOf(facts))
          const refused = facts.filter(({ id, seen }) => seen !== undefined && statuses[id] === 'change-disagrees')
          expect(refused).toEqual([])
        }),
        80
      )
    },
    TIMEOUT
  )

  test(
    'who knew everything there is edits natively',
    () => {
      holds(
        fc.property(moves(['edit', 'edit', 'edit', 'lie', 'rollover']), list => {
          const facts = counted(play(list.map(move => ({ ...move, seen: move.seen.map(() => 1_000) }))))
          const statuses = statusesOf(buildOf(facts))
          const truths = facts.filter(({ seen, change, counts }) => seen !== undefined && change !== null && counts)
          for (const { id } of truths) expect(['native', 'folded']).toContain(statuses[id])
        }),
        80
      )
    },
    TIMEOUT
  )
})

describe('facts that come in parts', () => {
  /** As a node does it: what it has, then what is new; all of it where that changes what it has. */
  function inParts(parts: readonly (readonly Said[])[], engineOf: (part: number) => Engine) {
    let facts: readonly MetadataFact[] = []
    let from: { readonly made: string; readonly saved: Uint8Array } | undefined
    let appended = 0
    let said: readonly Said[] = []
    const statuses: Record<string, string> = {}
    let last: Extract<UpdateResult, { kind: 'updated' }> | undefined
    for (const [i, part] of parts.entries()) {
      said = [...said, ...part]
      const now = counted(said)
      const isSame = facts.every(({ id, counts }) => now.find(fact => fact.id === id)?.counts === counts)
      const known = new Set(facts.map(({ id }) => id))
      const made = fingerprintOf(now)
      const request = { key: 'd', subject: 'ggen/tool', made }
      const engine = engineOf(i)
      let result: UpdateResult = { kind: 'anew' }
      if (from !== undefined && isSame) {
        const fresh = now.filter(({ id }) => !known.has(id))
        result = engine.update({ ...request, from: from.made, facts: fresh })
        if (result.kind === 'cold')
          result = engine.update({ ...request, from: from.made, saved: from.saved, facts: fresh })
        if (result.kind === 'updated') appended += 1
      }
      if (result.kind === 'anew') result = engine.update({ ...request, from: undefined, facts: now })
      if (result.kind !== 'updated') throw new Error(`${result.kind} when all was given`)
      for (const [id, { status }] of result.standings) statuses[id] = status
      last = result
      from = { made, saved: result.saved }
      facts = now
    }
    return { state: last?.state, statuses, appended, saved: last?.saved }
  }

  const whole = (facts: readonly Said[]) => {
    const all = counted(facts)
    const build = buildOf(all)
    return { state: { made: fingerprintOf(all), ...build.state() }, statuses: statusesOf(build) }
  }

  const cut = (facts: readonly Said[], at: readonly number[]): readonly (readonly Said[])[] => {
    const ends = [...new Set(at.map(place => place % (facts.length + 1)))].toSorted((a, b) => a - b)
    return [...ends, facts.length].map((end, i) => facts.slice(ends[i - 1] ?? 0, end))
  }

  test(
    'make the document that all together make, in whatever parts and order',
    () => {
      let appended = 0
      holds(
        fc
          .property(
            moves(),
            fc.array(fc.nat(), { maxLength: 6 }),
            fc.option(fc.infiniteStream(fc.nat())),
            (list, at, keys) => {
              const facts = play(list)
              const engine = new Engine()
              const {
                state,
                statuses,
                appended: times
              } = inParts(cut(keys === null ? facts : shuffled(facts, keys), at), () => engine)
              engine.dropAll()
              appended += times
              if (facts.length > 0) expect({ state, statuses }).toEqual(whole(facts))
            }
          )
          .afterEach(freeBuilds),
        100
      )
      expect(appended).toBeGreaterThan(60)
    },
    TIMEOUT
  )

  test(
    'go on from what was saved as from what was live',
    () => {
      holds(
        fc
          .property(
            moves(['edit', 'edit', 'edit', 'edit', 'lie', 'rollover']),
            fc.array(fc.nat(), { maxLength: 6 }),
            (list, at) => {
              const facts = play(list)
              const engine = new Engine()
              const live = inParts(cut(facts, at), () => engine)
              const restored = inParts(cut(facts, at), () => new Engine())
              expect(restored).toEqual(live)
              engine.dropAll()
            }
          )
          .afterEach(freeBuilds),
        100
      )
    },
    TIMEOUT
  )
})

describe('without the facts of one author', () => {
  test(
    'what others said stays, and so does what others replaced',
    () => {
      holds(
        fc.property(moves(['edit', 'edit', 'edit', 'edit', 'lie', 'fork', 'rollover']), list => {
          const said = play(list)
          const all = counted(said)
          const knowing = knowledgeOf(all)
          for (const gone of ['ann', 'bob', 'cat', 'eve']) {
            const rest = counted(said.filter(({ author }) => author !== gone))
            const build = buildOf(rest)
            const statuses = statusesOf(build)
            const holders = holdersOf(build)
            expect(holders).toEqual(expectedHolders(rest, statuses))
            const ok = rest.filter(({ id, counts }) => counts && statuses[id] !== 'change-disagrees')
            for (const { id, edits } of ok) {
              for (const { op, path } of edits) {
                const key = keyOf(path)
                const others = ok.filter(other => other.id !== id && other.edits.some(edit => keyOf(edit.path) === key))
                if (op === 'put' && !others.some(other => knowing(other.id).has(id))) expect(holders[key]).toContain(id)
                if (others.some(({ seen }) => seen?.has(id) === true)) expect(holders[key] ?? []).not.toContain(id)
              }
            }
          }
        }),
        80
      )
    },
    TIMEOUT
  )
})

describe('a document that gets full', () => {
  const room = { ops: 12, bytes: 2_500, actors: 5 }

  test(
    'is the same in any order, and never more than it may be',
    () => {
      let refused = 0
      holds(
        fc.property(moves(undefined, 20), fc.infiniteStream(fc.nat()), (list, keys) => {
          const facts = counted(play(list))
          const build = buildOf(facts, room)
          expect(shownOf(buildOf(shuffled(facts, keys), room))).toEqual(shownOf(build))
          if (build.isFull) refused += 1
          const { applied, room: taken } = build.record()
          expect(new Set(applied.map(([, actor]) => actor)).size).toBeLessThanOrEqual(room.actors)
          const isFolded = build.epoch !== null
          if (!isFolded) expect(taken.spent[0]).toBeLessThanOrEqual(room.ops)
          if (!isFolded) expect(taken.spent[1]).toBeLessThanOrEqual(room.bytes)
          expect(holdersOf(build)).toEqual(expectedHolders(facts, statusesOf(build)))
        }),
        100
      )
      expect(refused).toBeGreaterThan(10)
    },
    TIMEOUT
  )

  test('and goes on as if all had come at once, or says that it does not', () => {
    const small = { ...room, ops: 8 }
    let appended = 0
    holds(
      fc.property(moves(undefined, 24), fc.integer({ min: 1, max: 3 }), (list, late) => {
        const facts = counted(play(list))
        const at = Math.max(0, facts.length - late)
        const build = buildOf(facts.slice(0, at), small)
        const isFull = build.isFull
        if (!append(build, facts.slice(at))) return
        if (isFull && at < facts.length) appended += 1
        expect(shownOf(build)).toEqual(shownOf(buildOf(facts, small)))
      }),
      200
    )
    expect(appended).toBeGreaterThan(5)
  })
})
