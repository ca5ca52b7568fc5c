// Order and sums of the nodes.

import type { Liveness, NodeView, StreamView } from '../api/model';
import { board_alerts } from './board';

/** Up to this many nodes, each has a whole card; more get the compact grid. A wall of 1920x1080 holds two rows of cards. */
export const CARDS_MAX = 6;

/** Worst first. Never heard from is a matter for the installers, silent is one for now. */
export const WORST_FIRST: readonly Liveness[] = ['silent', 'late', 'never', 'live'];

/** The order in which streams are shown: what people did first. */
export const STREAM_ORDER: readonly string[] = ['service', 'event', 'reading', 'snapshot'];

/** From this share of its limit on, a backlog is close enough to losing data that someone should look. */
export const BACKLOG_NEAR_LIMIT = 0.8;

const by_id = (a: NodeView, b: NodeView): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

export function lost_records(node: NodeView): number {
  return node.streams.reduce((sum, stream) => sum + stream.lost_records, 0);
}

/** Whether a node speaks now: else what it said of itself is its last word, and what waits in it is not known. */
export function speaks(node: NodeView): boolean {
  return node.liveness === 'live';
}

/** Share of the stream's limit that waits, 0 to 1; null if the node never said. */
export function backlog_share(stream: StreamView): number | null {
  if (stream.backlog_bytes === null || stream.limit_bytes === null || stream.limit_bytes <= 0) return null;
  return Math.min(1, stream.backlog_bytes / stream.limit_bytes);
}

export type Trouble = 'lost' | 'near_limit' | 'camera' | 'board';

/** What is wrong with a node beside its liveness. */
export function troubles(node: NodeView): Trouble[] {
  const found: Trouble[] = [];
  if (lost_records(node) > 0) found.push('lost');
  if (node.streams.some((stream) => (backlog_share(stream) ?? 0) >= BACKLOG_NEAR_LIMIT)) found.push('near_limit');
  if (node.cameras.some((camera) => camera.condition !== null && camera.condition !== 'good')) found.push('camera');
  if (board_alerts(node.board).length > 0) found.push('board');
  return found;
}

export function compare_worst_first(a: NodeView, b: NodeView): number {
  const rank = WORST_FIRST.indexOf(a.liveness) - WORST_FIRST.indexOf(b.liveness);
  return rank || troubles(b).length - troubles(a).length || by_id(a, b);
}

/** Few nodes keep their places, so that a card never moves from under a hand; many are sorted worst first. */
export function arrange(nodes: readonly NodeView[]): NodeView[] {
  return [...nodes].sort(nodes.length <= CARDS_MAX ? by_id : compare_worst_first);
}

export interface NodeGroup {
  liveness: Liveness;
  nodes: NodeView[];
}

export function group_by_liveness(nodes: readonly NodeView[]): NodeGroup[] {
  return WORST_FIRST.map((liveness) => ({
    liveness,
    nodes: nodes.filter((node) => node.liveness === liveness).sort(compare_worst_first),
  })).filter((group) => group.nodes.length > 0);
}

export function arrange_streams(streams: readonly StreamView[]): StreamView[] {
  const place = (stream: StreamView): number => {
    const index = STREAM_ORDER.indexOf(stream.stream);
    return index < 0 ? STREAM_ORDER.length : index;
  };
  return [...streams].sort((a, b) => place(a) - place(b));
}

export interface Totals {
  by_liveness: Record<Liveness, number>;
  /** What the nodes said that waits; null if none that speaks now said anything. */
  backlog_records: number | null;
  backlog_bytes: number | null;
  /** Nodes that never said how much waits, or have gone quiet since: what waits there now is not in the sum's word. */
  backlog_unknown_nodes: number;
  lost_records: number;
  lost_by_stream: { stream: string; records: number }[];
}

export function totals(nodes: readonly NodeView[]): Totals {
  const sum: Totals = {
    by_liveness: { live: 0, late: 0, silent: 0, never: 0 },
    backlog_records: null,
    backlog_bytes: null,
    backlog_unknown_nodes: 0,
    lost_records: 0,
    lost_by_stream: [],
  };
  const lost = new Map<string, number>();
  let spoken = false;
  for (const node of nodes) {
    sum.by_liveness[node.liveness] += 1;
    const said = node.streams.filter((stream) => stream.backlog_records !== null);
    if (said.length === 0 || !speaks(node)) sum.backlog_unknown_nodes += 1;
    else spoken = true;
    for (const stream of said) {
      sum.backlog_records = (sum.backlog_records ?? 0) + (stream.backlog_records ?? 0);
      if (stream.backlog_bytes !== null) sum.backlog_bytes = (sum.backlog_bytes ?? 0) + stream.backlog_bytes;
    }
    for (const stream of node.streams) {
      if (stream.lost_records === 0) continue;
      sum.lost_records += stream.lost_records;
      lost.set(stream.stream, (lost.get(stream.stream) ?? 0) + stream.lost_records);
    }
  }
  if (!spoken) sum.backlog_records = sum.backlog_bytes = null;
  sum.lost_by_stream = STREAM_ORDER.filter((name) => lost.has(name)).map((stream) => ({ stream, records: lost.get(stream) ?? 0 }));
  return sum;
}

/** What to call a node: its place, else its id. */
export function node_title(node: NodeView): string {
  return node.name ?? node.village_name ?? node.id;
}

/** Names for small places: the village alone, unless it has several nodes. */
export function short_titles(nodes: readonly NodeView[]): Map<string, string> {
  const per_village = new Map<string, number>();
  for (const node of nodes) {
    if (node.village_name !== null) per_village.set(node.village_name, (per_village.get(node.village_name) ?? 0) + 1);
  }
  return new Map(
    nodes.map((node) => [node.id, node.village_name !== null && per_village.get(node.village_name) === 1 ? node.village_name : node_title(node)]),
  );
}
