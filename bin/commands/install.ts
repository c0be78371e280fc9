import { resolve } from 'node:path'
import { bytesText, progress, report } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node install`. */
export async function install(session: Session, args: readonly string[], options: Options): Promise<void> {
  const project = resolve(textOption(options, 'dir') ?? '.')
  const params = { reference: argument(args, 0), project, force: options['force'] === true }
  const { installed, left } = await withNode(session, { network: true, create: true }, client =>
    client.call('install', params, { signal: session.signal, onProgress: ({ text }) => progress(session, text) })
  ).finally(() => progress(session, ''))
  report(session, { installed, left }, () => [
    ...installed.map(({ name, version, path, from, bytes, ms, unchanged }) => {
      const source =
        from.length === 0 ? 'was here' : `${bytesText(bytes)} from ${from.map(short).join(', ')} in ${ms} ms`
      return unchanged ? `Unchanged ${name}@${version}  ${path}` : `Installed ${name}@${version}  ${path}  ${source}`
    }),
    ...left.map(({ name, range, why }) =>
      why === 'external'
        ? `  not installed: ${name} ${range} is outside this registry`
        : `  not installed: optional ${name} ${range}`
    )
  ])
}

function short(peer: string): string {
  return `…${peer.slice(-8)}`
}
