import { RegistryError } from '../errors.ts'
import { isPositive } from './incompatibility.ts'
import type { Asked, Incompatibility, Term } from './incompatibility.ts'
import type { NodeName } from './node-name.ts'
import type { Shelf } from './shelf.ts'
import { complement, count, highest } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/** What somebody said, in one clause: `a 1.2.0 needs b ^2.0.0`. */
export function factText({ cause }: Incompatibility, shelf: Shelf): string {
  switch (cause.type) {
    case 'wish':
      return `${cause.by} ${cause.by === 'you' ? 'want' : 'wants'} ${askedText(cause.asked, shelf)}`
    case 'needs': {
      const who = isAll(cause.from, shelf)
        ? `every version of ${shelf.words.called(cause.from.name)}`
        : described(cause.from, shelf)
      return `${who} needs ${askedText(cause.asked, shelf)}`
    }
    case 'derived':
      throw new RegistryError('INTERNAL', 'a conclusion is nothing that somebody said')
  }
}

function askedText({ name, range, instead, unmet }: Asked, shelf: Shelf): string {
  const short = shelf.words.called(name)
  const wanted = range === '*' ? short : `${short} ${range}`
  const asked = instead === undefined ? wanted : `${short} ${instead} (the project's override: ${range})`
  switch (unmet) {
    case undefined:
      return asked
    case 'absent':
      return `${asked} (${shelf.words.absent(name)})`
    case 'held':
      return `${asked} (another version of it is picked for others)`
    case 'none-fits':
      return `${asked} (${whyNoneFits(name, range, shelf)})`
  }
}

function whyNoneFits(name: NodeName, range: string, shelf: Shelf): string {
  const short = shelf.words.called(name)
  const matching = shelf.get(name)?.matching(range) ?? []
  const conflict = matching.find(({ state }) => state === 'conflict')
  if (conflict !== undefined) return `${short} ${conflict.version} has more than one content, so none of them is served`
  const away = matching.find(({ state }) => state === 'yanked' || state === 'quarantined')
  if (away === undefined) return `no version of ${short} fits`
  const what = away.state === 'yanked' ? 'was yanked' : 'is in quarantine'
  return `${short} ${away.version} ${what}${away.reason === '' ? '' : `: ${away.reason}`}`
}

/** What follows, in one clause: `a ^1.0.0 needs b ^2.0.0 or c`. */
export function conclusionText({ terms }: Incompatibility, shelf: Shelf): string {
  const given = terms.filter(isPositive)
  const others = terms.filter(term => !isPositive(term))
  const needed = others.map(term => wanted(inverted(term, shelf), shelf)).join(' or ')
  const [first] = given
  if (first === undefined) return needed === '' ? 'there is no solution' : `${needed} has to be there`
  if (given.length === 1 && needed === '') {
    return isAll(first, shelf)
      ? `no version of ${shelf.words.called(first.name)} can be used`
      : `${described(first, shelf)} cannot be used`
  }
  if (given.length === 1) {
    const who = isAll(first, shelf) ? `every version of ${shelf.words.called(first.name)}` : described(first, shelf)
    return `${who} needs ${needed}`
  }
  const together = given.map(term => described(term, shelf)).join(' and ')
  return needed === '' ? `${together} cannot be used together` : `${together} together need ${needed}`
}

/** What has to be there for the term not to hold. */
function inverted({ name, set }: Term, shelf: Shelf): Term {
  return { name, set: complement(set, shelf.size(name)) }
}

function isAll({ name, set }: Term, shelf: Shelf): boolean {
  return versionsIn(set) === shelf.size(name) && shelf.size(name) > 1
}

function versionsIn(set: VersionSet): number {
  return count(set) - (set[0] === 0 ? 1 : 0)
}

/** A thing that is there: `foo 1.2.0` when it is one version. */
function described(term: Term, shelf: Shelf): string {
  const index = highest(term.set)
  const version =
    versionsIn(term.set) === 1 && index !== undefined ? shelf.get(term.name)?.at(index).version : undefined
  return version === undefined ? wanted(term, shelf) : `${shelf.words.called(term.name)} ${version}`
}

/** A thing that is asked for, in the words of somebody who did. */
function wanted(term: Term, shelf: Shelf): string {
  const short = shelf.words.called(term.name)
  const candidates = shelf.get(term.name)
  return candidates === undefined || isAll(term, shelf) ? short : `${short} ${candidates.print(term.set)}`
}
