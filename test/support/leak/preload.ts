import { registerHooks } from 'node:module'
import { watchOutgoing } from './watch-outgoing.ts'

/**
 * Loaded before `ggen-node` with `--import`, to make of the real program, unchanged, a witness or a traitor:
 *
 *   GGEN_TEST_RECORDING=FILE   writes down everything it is told, decrypted (`recording.ts`)
 *   GGEN_TEST_OUTGOING=FILE    writes down whatever it reaches out for (`watch-outgoing.ts`)
 *   GGEN_TEST_PLANT=FILE       does on SIGUSR2 what the file says (`plants.ts`)
 */
const replaced: Readonly<Record<string, string | undefined>> = {
  '@libp2p/noise': process.env['GGEN_TEST_RECORDING'] === undefined ? undefined : './noise-in-place.ts',
  './create-node.ts': process.env['GGEN_TEST_PLANT'] === undefined ? undefined : './create-node-in-place.ts'
}

registerHooks({
  resolve: (specifier, context, next) => {
    const instead = context.parentURL?.includes('/test/support/leak/') === true ? undefined : replaced[specifier]
    return next(instead === undefined ? specifier : new URL(instead, import.meta.url).href, context)
  }
})

const outgoing = process.env['GGEN_TEST_OUTGOING']
if (outgoing !== undefined) watchOutgoing(outgoing)
