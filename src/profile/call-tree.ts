/** Stacks of calls, those with the same outer calls sharing them. */
export class CallTree {
  readonly names: string[] = [];
  readonly #indexOf = new Map<string, number>();
  /** By node; the root is node 0 and has no name. */
  readonly #parents: number[] = [-1];
  readonly #nameOf: number[] = [-1];
  readonly #children: Map<number, number>[] = [new Map<number, number>()];

  /** The node of a call to `name` from `parent`. */
  child(parent: number, name: string): number {
    let index = this.#indexOf.get(name);
    if (index === undefined) {
      index = this.names.push(name) - 1;
      this.#indexOf.set(name, index);
    }
    const children = this.#children[parent]!;
    let node = children.get(index);
    if (node === undefined) {
      node = this.#parents.push(parent) - 1;
      this.#nameOf.push(index);
      this.#children.push(new Map());
      children.set(index, node);
    }
    return node;
  }

  /** Indices of the names of a node's calls, the outermost first. */
  stack(node: number): number[] {
    const stack: number[] = [];
    for (let at = node; at > 0; at = this.#parents[at]!) stack.push(this.#nameOf[at]!);
    return stack.reverse();
  }

  /** The innermost call; undefined for the root. */
  name(node: number): string | undefined {
    return this.names[this.#nameOf[node]!];
  }
}
