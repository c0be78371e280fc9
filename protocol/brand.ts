declare const brand: unique symbol

/** A primitive that remembers it was checked. Only the `parse…` function beside a brand makes one. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
