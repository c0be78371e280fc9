import type { Principal } from '../../../protocol/did.ts'
import type { Domain } from '../../../protocol/publisher/domain.ts'
import type { AnswerAge } from '../../../protocol/publisher/binding.ts'

/** What a key was found to be called. */
export interface NamedKey {
  readonly key: Principal
  readonly domain: Domain
  readonly age: AnswerAge
  readonly answered: number | null
}
