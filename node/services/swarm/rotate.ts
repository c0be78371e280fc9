import type { Authority } from '../../../protocol/authority.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { authorityOf } from '../authority/place.ts'
import type { PlaceGate } from '../authority/place.ts'
import type { MembersOfSwarm } from './members.ts'
import { isOwner } from './standings.ts'
import type { MemberSigner } from './signer.ts'
import { parseOverlap } from './terms.ts'

export interface RotateComponents {
  readonly gate: PlaceGate
  readonly members: Pick<MembersOfSwarm, 'keys' | 'takeSwarmKey'>
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
}

export interface Rotation {
  readonly epoch: number
  readonly overlapUntil: number
}

/**
 * Gives a swarm a new secret. Members take it over from each other for as long as the old one is good too; who is away
 * for longer needs a token.
 * @throws RegistryError NOT_AUTHORIZED unless an owner signs | USAGE
 */
export async function rotateSwarm(
  { gate, members, random, now }: RotateComponents,
  { registry, signer }: { readonly registry: RegistryId; readonly signer: MemberSigner },
  overlap: string | undefined
): Promise<Rotation> {
  const authority = authorityOf(gate, registry)
  const time = now()
  assertOwner(authority, signer, time)
  const overlapUntil = parseOverlap(overlap, time)
  const { epoch: last, psk } = members.keys.current
  const epoch = last + 1
  const by = signer.principal
  await members.takeSwarmKey(
    signer.signSwarmKey({ v: 1, registry, epoch, secret: random(32), psk, overlapUntil, by, time })
  )
  if (members.keys.current.epoch < epoch)
    throw new RegistryError('INTERNAL', 'the new secret of the swarm was not taken over')
  return { epoch, overlapUntil }
}

function assertOwner(authority: Authority, { principal }: MemberSigner, now: number): void {
  if (isOwner(authority, principal, now)) return
  throw new RegistryError('NOT_AUTHORIZED', `${principal} is no owner of ${authority.genesis.name}`, {
    tried: ['looked for the role owner of the whole registry'],
    next: '--key NAME signs with another key of this data directory'
  })
}
