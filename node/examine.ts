import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { holderOf } from '../storage/home-lock.ts'
import { homePaths, STORE_FORMAT } from '../storage/home.ts'
import type { HomePaths } from '../storage/home.ts'
import { effectiveConfig } from './config-file.ts'
import { homePath } from './config.ts'
import { homeExists } from './home.ts'
import { tcpTarget } from './multiaddr-shape.ts'
import { daemonAddress, openClient } from './open-client.ts'
import { ownPackage } from './package-root.ts'
import { holderOfPort, tryPort } from './port-holder.ts'
import type { Finding } from './services/api.ts'
import { swarmFindings } from './swarm-findings.ts'

/**
 * Everything `doctor` looks at: first what can be seen without opening anything (so that a node which can't be opened is
 * looked at too), then, through the node, the store and what stands on it.
 */
export async function examine(
  flag: string | undefined,
  { deep, signal }: { readonly deep: boolean; readonly signal: AbortSignal }
): Promise<readonly Finding[]> {
  const home = homePath(flag)
  const paths = homePaths(home)
  const node: Finding = {
    check: 'node',
    ok: true,
    text: `ggen-node ${ownPackage().version} on Node.js ${process.versions.node}, ${process.platform}`
  }
  if (!(await homeExists(home))) {
    const text = `there is no data directory at ${home}`
    return [node, { check: 'home', ok: false, text, next: 'ggen-node init, or name another one with --home' }]
  }
  const daemon = await daemonAddress(home)
  const findings: Finding[] = [
    node,
    ...(await permissionFindings(paths)),
    await formatFinding(paths),
    await lockFinding(paths, daemon?.pid),
    ...(await configFindings(home, { isRunning: daemon !== undefined }))
  ]
  try {
    const opened = await openClient({ home, network: false, create: false })
    try {
      findings.push(...(await opened.client.call('doctor', { deep }, { signal })))
      findings.push(...swarmFindings(await opened.client.call('swarmList', {}, { signal }), Date.now()))
    } finally {
      await opened.close()
    }
  } catch (error) {
    if (!isRegistryError(error) || error.code === 'CANCELLED') throw error
    const { code, message, next } = error
    findings.push({ check: 'open', ok: false, text: `${code}: ${message}`, ...(next === undefined ? {} : { next }) })
  }
  return findings
}

/** Whoever can read a key is the publisher, and whoever can write the folder chooses what the node believes. */
async function permissionFindings({ dir, keys, config, daemon }: HomePaths): Promise<readonly Finding[]> {
  if (process.platform === 'win32') return []
  const names = await readdir(keys).catch(() => [])
  const secret = [dir, keys, daemon, ...names.filter(name => name.endsWith('.pem')).map(name => join(keys, name))]
  const bad: Finding[] = []
  for (const path of secret) {
    const mode = await modeOf(path)
    if (mode === undefined || (mode & 0o077) === 0) continue
    const wanted = path === dir || path === keys ? '700' : '600'
    const isKey = path.endsWith('.pem')
    bad.push({
      check: 'permissions',
      ok: false,
      text: `other users of this machine can get at ${path} (${octal(mode)})`,
      next: `chmod ${wanted} ${path}${isKey ? ', and replace the key if others may have read it' : ''}`
    })
  }
  const mode = await modeOf(config)
  if (mode !== undefined && (mode & 0o022) !== 0) {
    const text = `other users of this machine can change ${config} (${octal(mode)})`
    bad.push({ check: 'permissions', ok: false, text, next: `chmod 600 ${config}` })
  }
  if (bad.length > 0) return bad
  return [{ check: 'permissions', ok: true, text: `${dir} and its keys are its owner's alone` }]
}

async function formatFinding({ format }: HomePaths): Promise<Finding> {
  const check = 'format'
  const text = await readFile(format, 'utf8').catch(() => undefined)
  if (text === undefined) return { check, ok: true, text: 'nothing is stored yet' }
  if (text === `${STORE_FORMAT}\n`) return { check, ok: true, text: `store format ${STORE_FORMAT}` }
  const next = `use the ggen-node that wrote it; this one knows format ${STORE_FORMAT}`
  return { check, ok: false, text: `store format ${JSON.stringify(text.slice(0, 20))}`, next }
}

/** Who owns the data directory, and whether what an earlier owner left is in the way. */
async function lockFinding({ dir, daemon, socket }: HomePaths, running: number | undefined): Promise<Finding> {
  const check = 'lock'
  try {
    const holder = await holderOf(dir)
    if (running !== undefined && holder?.pid !== running) {
      return {
        check,
        ok: false,
        text: `daemon.json names process ${running}, which does not hold the data directory`,
        next: `a node that was killed left it, and another program has its number now: remove ${daemon} and ${socket}`
      }
    }
    if (running !== undefined) return { check, ok: true, text: `held by the running node, process ${running}` }
    if (holder !== undefined) {
      return {
        check,
        ok: true,
        text: `held by another command, process ${holder.pid}`,
        next: 'try again when it is done'
      }
    }
    const isLeft = (await modeOf(join(dir, 'lock'))) !== undefined
    return { check, ok: true, text: isLeft ? 'left by a process that died: the next start takes it over' : 'free' }
  } catch (error) {
    const next = isRegistryError(error) ? error.next : undefined
    return { check, ok: false, text: messageOf(error), ...(next === undefined ? {} : { next }) }
  }
}

async function configFindings(
  home: string,
  { isRunning }: { readonly isRunning: boolean }
): Promise<readonly Finding[]> {
  try {
    const { keep, swarms } = await effectiveConfig(home)
    const finding: Finding = { check: 'config', ok: true, text: `keep ${keep}, ${swarms.length} swarms` }
    // The ports of a running node are its own, which is what `peers` shows.
    if (isRunning) return [finding]
    const listen = swarms.slice(0, 1).flatMap(swarm => swarm.listen)
    return [finding, ...(await Promise.all(listen.map(portFinding)))]
  } catch (error) {
    if (!isRegistryError(error)) throw error
    const { message, next } = error
    return [{ check: 'config', ok: false, text: message, ...(next === undefined ? {} : { next }) }]
  }
}

/** Whether the node could listen there if it were started now. */
async function portFinding(address: string): Promise<Finding> {
  const check = 'port'
  const target = tcpTarget(address)
  if (target === undefined) return { check, ok: true, text: `${address} is not looked at` }
  const result = await tryPort(target)
  switch (result) {
    case 'free':
      return { check, ok: true, text: `${address} is free` }
    case 'EADDRINUSE': {
      const holder = await holderOfPort(target.port)
      const who = holder === undefined ? 'another program' : `process ${holder.pid} (${holder.name})`
      const next = 'end that program, or choose another port: ggen-node config set swarm.public.listen ADDRESS'
      return { check, ok: false, text: `${address} is taken by ${who}`, next }
    }
    case 'EACCES': {
      const next = 'choose a port above 1023: ggen-node config set swarm.public.listen ADDRESS'
      return { check, ok: false, text: `${address} is not for ordinary users`, next }
    }
    default: {
      const next = 'choose an address of this machine: ggen-node config set swarm.public.listen ADDRESS'
      return { check, ok: false, text: `${address} cannot be listened on: ${result}`, next }
    }
  }
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode & 0o777
  } catch {
    return undefined
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, '0')
}
