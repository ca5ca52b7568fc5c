// Which rollouts of updates the page shows, and what of each.

import type { RolloutCountsView, RolloutView } from '../api/model';

/** More than these are history: the command line has it. */
export const ROLLOUTS_SHOWN = 5;

/** Those that something may still come of first, then the newest. */
export function shown_rollouts(rollouts: readonly RolloutView[]): RolloutView[] {
  const open = (rollout: RolloutView): boolean => rollout.state === 'running' || rollout.state === 'paused';
  const sorted = [...rollouts].sort((a, b) => Number(open(b)) - Number(open(a)) || b.number - a.number);
  return sorted.slice(0, ROLLOUTS_SHOWN);
}

export type CountKind = keyof RolloutCountsView;

/** In the order in which a node goes through them; bad news is always in sight. */
const ORDER: readonly CountKind[] = ['planned', 'waiting', 'trial', 'confirmed', 'behind', 'rolled_back', 'refused', 'silent'];
const BAD: readonly CountKind[] = ['rolled_back', 'refused', 'silent'];

export interface Count {
  kind: CountKind;
  nodes: number;
  bad: boolean;
}

/** The counts that are not zero. */
export function shown_counts(counts: RolloutCountsView): Count[] {
  return ORDER.filter((kind) => counts[kind] > 0).map((kind) => ({ kind, nodes: counts[kind], bad: BAD.includes(kind) }));
}
