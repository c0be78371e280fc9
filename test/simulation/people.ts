import { person as makePerson } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'

const made = new Map<string, Person>()
const KEPT = 4_096

/** A key that is the same in every run, made once: a name is asked for again and again. */
export function person(name: string): Person {
  let known = made.get(name)
  if (known === undefined) {
    if (made.size >= KEPT) made.clear()
    made.set(name, (known = makePerson(name)))
  }
  return known
}
