import { resolve } from 'node:path'
import { parseByteSize } from '../../protocol/byte-size.ts'
import { RegistryError } from '../../protocol/errors.ts'
import {
  addedMirrorLines,
  exportedLines,
  importedLines,
  mirrorLines,
  mirrorStatusLines,
  removedMirrorLines
} from './mirror-text.ts'
import { report } from './print.ts'
import { argument, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { countParam, textParam } from './signed.ts'

/** A registry id, and perhaps where to find it: nothing else that a person writes begins like this. */
const ID_AT = /^(bafyrei[a-z2-7]+)@(\/.+)$/

/** `ggen-node mirror add REF`. */
export async function add(session: Session, args: readonly string[], options: Options): Promise<void> {
  const given = argument(args, 0)
  const [, id, peer] = ID_AT.exec(given) ?? []
  const quota = textOption(options, 'quota')
  const params = {
    what: id ?? given,
    ...(peer === undefined ? {} : { peer }),
    ...(quota === undefined ? {} : { quotaBytes: bytesOf(quota) }),
    ...countParam(options, 'factor'),
    ...textParam(options, 'range'),
    ...textParam(options, 'alias')
  }
  const added = await withNode(session, { network: peer !== undefined, create: id !== undefined }, client =>
    client.call('mirrorAdd', params, { signal: session.signal })
  )
  report(session, added, () => addedMirrorLines(added))
}

/** `ggen-node mirror remove REF`. */
export async function remove(session: Session, args: readonly string[]): Promise<void> {
  const what = argument(args, 0)
  const removed = await withNode(session, { network: false }, client =>
    client.call('mirrorRemove', { what }, { signal: session.signal })
  )
  report(session, removed, () => removedMirrorLines(removed))
}

/** `ggen-node mirror list`. */
export async function list(session: Session): Promise<void> {
  const mirrors = await withNode(session, { network: false }, client => client.call('mirrorList', {}))
  report(session, { mirrors }, () => mirrorLines(mirrors))
}

/** `ggen-node mirror status [REF]`. */
export async function status(session: Session, args: readonly string[]): Promise<void> {
  const [what] = args
  const mirrors = await withNode(session, { network: false }, client =>
    client.call('mirrorStatus', what === undefined ? {} : { what }, { signal: session.signal })
  )
  report(session, { mirrors }, () => mirrorStatusLines(mirrors))
}

/** `ggen-node mirror export REGISTRY FILE`. */
export async function exportTo(session: Session, args: readonly string[], options: Options): Promise<void> {
  const { since } = textParam(options, 'since')
  const params = {
    registry: argument(args, 0).replace(/:$/, ''),
    file: resolve(argument(args, 1)),
    private: options['private'] === true,
    ...(since === undefined ? {} : { since: resolve(since) })
  }
  const done = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('mirrorExport', params, { signal: session.signal, onProgress })
    )
  )
  report(session, done, () => exportedLines(done))
}

/** `ggen-node mirror import FILE`. */
export async function importFrom(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { file: resolve(argument(args, 0)), ...textParam(options, 'id'), ...textParam(options, 'alias') }
  const done = await withProgress(session, onProgress =>
    withNode(session, { network: false, create: true }, client =>
      client.call('mirrorImport', params, { signal: session.signal, onProgress })
    )
  )
  report(session, done, () => importedLines(done))
}

/** @throws RegistryError USAGE */
function bytesOf(text: string): number {
  const bytes = text === 'none' ? 0 : parseByteSize(text)
  if (bytes !== undefined && (bytes > 0 || text === 'none')) return bytes
  throw new RegistryError('USAGE', `--quota ${JSON.stringify(text.slice(0, 40))} is no size`, {
    next: 'write it as 500MB or 20GiB, or none'
  })
}
