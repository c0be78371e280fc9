import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands about what this node hands out over plain HTTP. What each does is loaded when it runs. */
export function addGatewayVerbs(program: Command): void {
  const gateway = program.command('gateway').description('packages over plain HTTP, for any IPFS program')
  gateway
    .command('token')
    .description('make a token that shows a member of a private registry its packages over plain HTTP')
    .option('--registry <swarm>', 'which private registry (default: the only one here)')
    .option('--member <did>', 'for whom (default: the key of this node)')
    .option('--expires <when>', '12h, 30d, 8w or a date (default: 30d)')
    .option('--renew', 'end all tokens that this node has given out, first')
    .action(action(async (session, { options }) => (await import('./gateway.ts')).token(session, options)))
}
