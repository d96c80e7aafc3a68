/** A dialogue with a guest by its console: what to wait for, what to type then, and so on. */
export interface Step {
  readonly expect: string;
  readonly send?: string;
}

/** Follows what a guest prints through the steps of a dialogue. */
export class Steps<S extends Step> {
  /** Everything that has been printed. */
  output = '';
  /** How many of the steps were met. */
  met = 0;
  readonly #steps: readonly S[];
  readonly #onMet: (step: S) => void;
  #searchedTo = 0;

  constructor(steps: readonly S[], onMet: (step: S) => void) {
    this.#steps = steps;
    this.#onMet = onMet;
  }

  get areAllMet(): boolean {
    return this.met === this.#steps.length;
  }

  printed(text: string): void {
    this.output += text;
    for (let step = this.#steps[this.met]; step; step = this.#steps[this.met]) {
      const at = this.output.indexOf(step.expect, this.#searchedTo);
      if (at < 0) return;
      this.#searchedTo = at + step.expect.length;
      this.met++;
      this.#onMet(step);
    }
  }
}
