declare const brand: unique symbol;

/** A `T` that only code which means it can make: `PhysAddr` is a number, but a number is no `PhysAddr`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
