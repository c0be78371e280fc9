import type { ComponentLogger, Logger } from '@libp2p/interface'
import { messageOf } from '../../protocol/errors.ts'
import type { Log } from './components.ts'

/**
 * The libraries' own logging, led into ours. Only what they call errors gets through, at debug level: most of it is the
 * other side hanging up, and formatting every trace line of a busy stream costs more than the stream.
 */
export function componentLogger(log: Log): ComponentLogger {
  const forComponent = (component: string): Logger => {
    const error = (text: unknown, ...args: readonly unknown[]): void => {
      const cause = [text, ...args].find(value => value instanceof Error)
      log.debug('library', { component, text: String(text), error: cause === undefined ? '' : messageOf(cause) })
    }
    return Object.assign((): void => {}, {
      trace: (): void => {},
      error,
      enabled: false,
      newScope: (name: string): Logger => forComponent(`${component}:${name}`)
    })
  }
  return { forComponent }
}
