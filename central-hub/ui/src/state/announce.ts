// What is worth saying aloud (to a screen reader) when the picture changes. Ages and counts are not: they change all the time.

import type { Liveness, NodeView } from '../api/model';
import type { Freshness } from './freshness';
import { node_title } from './nodes';

/** More changes than this at once are told as a number: nobody listens to forty names. */
export const NAMED_MAX = 3;

export type Announcement =
  | { kind: 'data_old' }
  | { kind: 'data_fresh' }
  | { kind: 'node'; title: string; liveness: Liveness }
  | { kind: 'many'; count: number };

export function announcements(
  before: { freshness: Freshness['kind']; liveness: ReadonlyMap<string, Liveness> },
  freshness: Freshness['kind'],
  nodes: readonly NodeView[],
): Announcement[] {
  const said: Announcement[] = [];
  if (freshness === 'old' && before.freshness !== 'old') said.push({ kind: 'data_old' });
  if (freshness === 'fresh' && before.freshness === 'old') said.push({ kind: 'data_fresh' });
  const changed = nodes.filter((node) => {
    const was = before.liveness.get(node.id);
    return was !== undefined && was !== node.liveness;
  });
  if (changed.length > NAMED_MAX) said.push({ kind: 'many', count: changed.length });
  else for (const node of changed) said.push({ kind: 'node', title: node_title(node), liveness: node.liveness });
  return said;
}
