/** What a key of a document holds: a text, or that the key is there. */
export type DocumentValue = string | true

/** Where in a document: a field, and for most fields the name of an entry. */
export type Path = readonly string[]

/** One plain edit. */
export type Edit =
  | { readonly op: 'put'; readonly path: Path; readonly value: DocumentValue }
  | { readonly op: 'delete'; readonly path: Path }
