import { setSetting } from '../../node/config-file.ts'
import { quotaBytesOf } from '../../node/config-schema.ts'
import type { ApiMethods } from '../../node/services/api.ts'
import { ERROR_CODES } from '../../protocol/errors.ts'
import { JSON_VERSION, print, printJson, report } from './print.ts'
import { argument, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import {
  collectedLines,
  pinLines,
  pinnedLines,
  quotaLines,
  statLines,
  unpinnedLines,
  verifiedLines
} from './store-text.ts'

/** `ggen-node store stat`. */
export async function stat(session: Session): Promise<void> {
  const found = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('storeStat', {}, { signal: session.signal, onProgress })
    )
  )
  report(session, found, () => statLines(found, Date.now()))
}

/** `ggen-node store pin REF`. */
export async function pin(session: Session, args: readonly string[]): Promise<void> {
  const what = argument(args, 0)
  const pinned = await withNode(session, { network: false }, client =>
    client.call('storePin', { what }, { signal: session.signal })
  )
  report(session, pinned, () => pinnedLines(pinned))
}

/** `ggen-node store unpin REF`. */
export async function unpin(session: Session, args: readonly string[]): Promise<void> {
  const what = argument(args, 0)
  const unpinned = await withNode(session, { network: false }, client =>
    client.call('storeUnpin', { what }, { signal: session.signal })
  )
  report(session, unpinned, () => unpinnedLines(unpinned))
}

/** `ggen-node store pins`. */
export async function pins(session: Session): Promise<void> {
  const found = await withNode(session, { network: false }, client => client.call('storePins', {}))
  report(session, { pins: found }, () => pinLines(found))
}

/** `ggen-node store gc`. */
export async function gc(session: Session, options: Options): Promise<void> {
  const params = { all: options['all'] === true, dryRun: options['dryRun'] === true }
  const collected = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('storeGc', params, { signal: session.signal, onProgress })
    )
  )
  report(session, collected, () => collectedLines(collected))
}

/** `ggen-node store verify`: fails when something is damaged and did not come back. */
export async function verify(session: Session): Promise<void> {
  const verified = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('storeVerify', {}, { signal: session.signal, onProgress })
    )
  )
  const left = leftBroken(verified)
  if (left === 0) return report(session, verified, () => verifiedLines(verified))
  const code = 'CORRUPT_BLOCK'
  if (session.json) {
    const tried = verified.spaces.flatMap(({ unrepaired }) =>
      unrepaired.map(({ root, name, version, reason }) =>
        name === null ? `${root}: ${reason}` : `${name}@${version ?? ''} ${root}: ${reason}`
      )
    )
    const next = 'start the node, connect it to a peer that has them, and run it again'
    const error = { code, message: `${left} contents are damaged and did not come back`, tried, next, detail: {} }
    printJson({ ok: false, v: JSON_VERSION, error, ...verified })
  } else for (const line of verifiedLines(verified)) print(line)
  process.exitCode = ERROR_CODES[code].exit
}

/** `ggen-node store quota [SIZE]`: for the node that runs, and for those to come. */
export async function quota(session: Session, args: readonly string[], options: Options): Promise<void> {
  const swarm = textOption(options, 'swarm') ?? 'public'
  const [text] = args
  if (text === undefined) {
    const { spaces } = await withNode(session, { network: false }, client =>
      client.call('storeStat', {}, { signal: session.signal })
    )
    const quotas = spaces.map(({ swarm: name, quotaBytes, bytes }) => ({ swarm: name, quotaBytes, usedBytes: bytes }))
    return report(session, { quotas }, () => quotas.flatMap(quotaLines))
  }
  const { value } = await setSetting(session.home, `swarm.${swarm}.quota`, [text])
  const bytes = value === null ? 0 : (quotaBytesOf(value) ?? 0)
  const set = await withNode(session, { network: false }, client =>
    client.call('storeQuota', { swarm, bytes }, { signal: session.signal })
  )
  report(session, { quotas: [set] }, () => quotaLines(set))
}

function leftBroken({ spaces }: ApiMethods['storeVerify']['result']): number {
  return spaces.reduce((sum, { broken, repaired }) => sum + broken - repaired, 0)
}
