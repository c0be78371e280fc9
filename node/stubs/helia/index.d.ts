import type { Helia } from '@helia/interface'
import type { Libp2p, ServiceMap } from '@libp2p/interface'
export interface HeliaWithLibp2p<M extends ServiceMap = ServiceMap> extends Helia {
  libp2p: Libp2p<M>
}
export type CreateLibp2pOptions<_ extends ServiceMap = ServiceMap> = never
export type DefaultLibp2pServices = ServiceMap
export type HTTPOptions = never
