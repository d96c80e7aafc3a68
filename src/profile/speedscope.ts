/**
 * The file format of speedscope (https://www.speedscope.app/file-format-schema.json, "Importing from custom sources" in its
 * wiki): several profiles over one list of names, which speedscope.app and editors' extensions show.
 */
import type { CallTree } from './call-tree.js';

/** Samples in the order in which they were taken: nodes of the tree, and what each stands for. */
export interface SampledProfile {
  readonly name: string;
  readonly unit: 'none' | 'microseconds';
  readonly nodes: readonly number[];
  readonly weights: readonly number[];
}

export function speedscopeFile(name: string, tree: CallTree, profiles: readonly SampledProfile[]): string {
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'v8a',
    name,
    activeProfileIndex: 0,
    shared: { frames: tree.names.map((frame) => ({ name: frame })) },
    profiles: profiles.map(({ name: title, unit, nodes, weights }) => {
      const merged: { readonly node: number; weight: number }[] = [];
      nodes.forEach((node, index) => {
        if (weights[index] === 0) return;
        const last = merged.at(-1);
        if (last?.node === node) last.weight += weights[index]!;
        else merged.push({ node, weight: weights[index]! });
      });
      return {
        type: 'sampled',
        ...{ name: title, unit },
        startValue: 0,
        endValue: merged.reduce((sum, { weight }) => sum + weight, 0),
        samples: merged.map(({ node }) => tree.stack(node)),
        weights: merged.map(({ weight }) => weight),
      };
    }),
  });
}
