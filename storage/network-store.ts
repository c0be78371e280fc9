import { LevelDatastore } from 'datastore-level'
import { toWriteError } from './disk-errors.ts'

/** Opens what libp2p and the DHT remember: peers and provider records. All of it can be lost without harm. */
export async function openNetworkStore(dir: string): Promise<LevelDatastore> {
  const datastore = new LevelDatastore(dir)
  try {
    await datastore.open()
    return datastore
  } catch (cause) {
    throw toWriteError(cause, 'the network store')
  }
}
