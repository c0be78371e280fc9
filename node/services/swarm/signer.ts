import type { Principal } from '../../../protocol/did.ts'
import type { Binding, Certificate } from '../../../protocol/membership/certificate.ts'
import type { SwarmKey } from '../../../protocol/membership/swarm-key.ts'

/** Says of a host whose it is. */
export interface HostSigner {
  readonly principal: Principal
  signBinding(body: Binding): Uint8Array
}

/** What a member's key says beside the facts. */
export interface MemberSigner extends HostSigner {
  signCertificate(body: Certificate): Uint8Array
  signSwarmKey(body: SwarmKey): Uint8Array
}
