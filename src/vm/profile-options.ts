/** A file with names of the guest's functions. */
export interface SymbolsOptions {
  /** An ELF file with a symbol table, or a list as `nm` prints, System.map and /proc/kallsyms have. */
  readonly file: string;
  /** Added to the addresses in it: where the guest has put the code. 0 when left out. */
  readonly offset?: bigint;
}

export interface ProfileOptions {
  readonly symbols?: readonly SymbolsOptions[];
}
