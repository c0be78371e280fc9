// Stands in for @helia/libp2p and @helia/http, which helia's entry module imports for a createHelia()
// that this project never calls: they would drag in WebRTC, React Native, UPnP and public gateways.
const left = name => () => {
  throw new Error(`${name} is left out of this build: use createHeliaLight()`)
}
export const withLibp2p = left('withLibp2p')
export const withHTTP = left('withHTTP')
