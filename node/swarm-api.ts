import { RegistryError } from '../protocol/errors.ts'
import type { NodeParts } from './parts.ts'
import type { Api } from './services/api.ts'
import type { SwarmMethods } from './services/swarm/methods.ts'

/** The calls about private swarms. PLACEHOLDER: this node is in none yet, and every call that would change that says so. */
export function swarmApi(_parts: NodeParts): Pick<Api, keyof SwarmMethods> {
  const placeholder = (): Promise<never> =>
    Promise.reject(new RegistryError('INTERNAL', 'private swarms are not put together yet'))
  return {
    swarmCreate: placeholder,
    swarmList: async () => [],
    invite: placeholder,
    join: placeholder,
    members: placeholder,
    expel: placeholder,
    swarmRotate: placeholder,
    swarmLeave: placeholder
  }
}
