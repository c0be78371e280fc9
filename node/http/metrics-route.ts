import { say } from './answer.ts'
import type { Route } from './listener.ts'

/** `GET /metrics`: all numbers of this node in the text format of Prometheus. */
export function metricsRoute(metrics: () => Promise<string>): Route {
  return async exchange => {
    if (exchange.request.url !== '/metrics') return false
    const text = await metrics()
    say(exchange, 200, text.trimEnd(), { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    return true
  }
}
