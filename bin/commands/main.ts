import { Command } from 'commander'
import { ownPackage } from './package-root.ts'

// Every action is loaded when it runs: `--help` must not pay for libp2p.
const program = new Command('ggen-node')
  .description('a peer-to-peer federated package registry node')
  .version(ownPackage().version, '-V, --version', 'print the version')
  .option('--home <folder>', 'the data directory (default: $GGEN_NODE_HOME or ~/.ggen-node)')

program
  .command('version')
  .description('print the version of ggen-node and of Node.js')
  .option('--json', 'print JSON')
  .action(async (options: { json?: true }) => {
    const { printVersion } = await import('./version.ts')
    printVersion(options.json === true)
  })

await program.parseAsync()
