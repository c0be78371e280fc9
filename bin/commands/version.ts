import { ownPackage } from '../../node/package-root.ts'

/** `ggen-node version`. */
export function printVersion(json: boolean): void {
  const { version } = ownPackage()
  const node = process.versions.node
  console.log(json ? JSON.stringify({ ok: true, version, node }) : `ggen-node ${version} (Node.js ${node})`)
}
