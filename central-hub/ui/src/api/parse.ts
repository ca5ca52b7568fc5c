// Looks at an answer before the page believes it: a proxy's error page with status 200 is no overview.

import type { ExaminationView, Overview, RolloutView } from './model';

const NODE_LISTS = ['streams', 'cameras', 'readings'] as const;

/** The answer as an overview, or null if it is not one. Unknown fields are kept and ignored. */
export function parse_overview(answer: unknown): Overview | null {
  if (!is_object(answer)) return null;
  const { now_ms, utc_offset_minutes, nodes, services, hub } = answer;
  const times = Number.isFinite(now_ms) && Number.isFinite(utc_offset_minutes);
  if (!times || !Array.isArray(nodes) || !Array.isArray(services) || !is_object(hub)) return null;
  const whole = nodes.every(
    (node: unknown) => is_object(node) && typeof node['id'] === 'string' && NODE_LISTS.every((list) => Array.isArray(node[list])),
  );
  return whole ? (answer as unknown as Overview) : null;
}

/** The answer as a node's newest examination (null: there is none), or undefined if it is not one. */
export function parse_examination(answer: unknown): ExaminationView | null | undefined {
  if (!is_object(answer)) return undefined;
  const { examination } = answer;
  if (examination === null) return null;
  if (!is_object(examination) || !Number.isFinite(examination['at_ms'])) return undefined;
  const { findings } = examination;
  const whole = findings === null || (Array.isArray(findings) && findings.every((it: unknown) => is_object(it) && typeof it['what'] === 'string'));
  return whole ? (examination as unknown as ExaminationView) : undefined;
}

/** The answer as rollouts, or undefined if it is none. */
export function parse_rollouts(answer: unknown): RolloutView[] | undefined {
  const whole = (it: unknown): boolean =>
    is_object(it) && Number.isFinite(it['number']) && typeof it['state'] === 'string' && typeof it['reason'] === 'string' && is_object(it['counts']);
  return Array.isArray(answer) && answer.every(whole) ? (answer as RolloutView[]) : undefined;
}

function is_object(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
