import { parentPort } from 'node:worker_threads'
import { Engine } from './engine.ts'
import { serveDocuments } from './serve.ts'

// A worker is this file: nothing imports it, and `worker-engine.ts` says where it is.
serveDocuments(new Engine(), parentPort)
