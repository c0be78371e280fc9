import { LIMITS } from '../../protocol/limits.ts'

/** The address of a trustless gateway, without `/ipfs/`: `https://gateway.example`, `http://127.0.0.1:8080/under`. */
export function parseGatewayUrl(text: string): URL | undefined {
  if (text.length > LIMITS.gatewaySource.urlChars || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const isPlain = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  return isPlain && (url.protocol === 'http:' || url.protocol === 'https:') ? url : undefined
}

/** Why a text names no gateway. */
export function gatewayUrlFault(text: string): string | undefined {
  if (parseGatewayUrl(text) !== undefined) return undefined
  return 'it is no address of a gateway, such as https://gateway.example, without a name, a password or a query'
}
