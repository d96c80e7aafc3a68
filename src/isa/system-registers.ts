/** System registers and system operations: the one table. DDI0487 D19, C5.3 to C5.5. */
export interface SystemRegister {
  readonly name: string;
}
export interface SystemOperation {
  readonly name: string;
}
