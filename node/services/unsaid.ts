/** Bytes that are here, and pinned, for a fact that is signed next. One of the two is called, once. */
export interface UnsaidBytes {
  /** The fact is written. Never fails whoever wrote it. */
  said(): Promise<void>
  /** It was not written, as far as is known: what nothing names goes again. */
  failed(error: unknown): Promise<void>
}

/** Runs what writes the fact. Whatever it was told: what a fact names stays. */
export async function saying<T>(bytes: UnsaidBytes, write: () => Promise<T>): Promise<T> {
  try {
    const written = await write()
    await bytes.said()
    return written
  } catch (error) {
    await bytes.failed(error)
    throw error
  }
}
