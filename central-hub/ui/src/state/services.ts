// Today's counts, grouped for reading. Rows of a simulator never meet real ones; no data is no row, never 0.

import type { NodeView, ServiceView } from '../api/model';

/** More rows than this and the villages of each service are folded away under its sum. */
export const ROWS_OPEN_MAX = 14;

export interface Coverage {
  live: number;
  total: number;
}

export interface ServiceGroup {
  service: string;
  rows: ServiceView[];
  counted: number;
  counted_by_button: number;
  counted_by_api: number;
  visits_served: number;
  visits_other: number;
  last_at_ms: number;
  estimated: number;
  coverage: Coverage;
  pending: Pending;
  nodes: string[];
}

/** Service records that the villages' nodes still hold: the counts will grow by them. */
export interface Pending {
  records: number;
  /** Some node never said: there may be more. */
  unknown: boolean;
}

/** Nodes behind these rows: each village once, however many services it reports. */
export function coverage(rows: readonly ServiceView[]): Coverage {
  const villages = new Map<string | null, Coverage>();
  for (const row of rows) villages.set(row.village_code, { live: row.nodes_live, total: row.nodes_total });
  const sum = { live: 0, total: 0 };
  for (const village of villages.values()) {
    sum.live += village.live;
    sum.total += village.total;
  }
  return sum;
}

/** A village's backlog is of all its services: each village counts once. */
export function pending(rows: readonly ServiceView[]): Pending {
  const villages = new Map(rows.map((row) => [row.village_code, row.backlog_records]));
  const said = [...villages.values()];
  return { records: said.reduce<number>((sum, records) => sum + (records ?? 0), 0), unknown: said.includes(null) };
}

function by_source(rows: readonly ServiceView[]): { counted_by_button: number; counted_by_api: number } {
  return {
    counted_by_button: rows.reduce((sum, row) => sum + row.counted_by_button, 0),
    counted_by_api: rows.reduce((sum, row) => sum + row.counted_by_api, 0),
  };
}

export function group_services(services: readonly ServiceView[], simulated: boolean): ServiceGroup[] {
  const groups = new Map<string, ServiceView[]>();
  for (const row of services) {
    if (row.simulated !== simulated) continue;
    const rows = groups.get(row.service);
    if (rows) rows.push(row);
    else groups.set(row.service, [row]);
  }
  return [...groups.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([service, rows]) => ({
      service,
      rows: rows.sort((a, b) => village_of(a).localeCompare(village_of(b), 'id')),
      counted: rows.reduce((sum, row) => sum + row.counted, 0),
      ...by_source(rows),
      visits_served: rows.reduce((sum, row) => sum + row.visits_served, 0),
      visits_other: rows.reduce((sum, row) => sum + row.visits_other, 0),
      last_at_ms: rows.reduce((last, row) => Math.max(last, row.last_at_ms), 0),
      estimated: rows.reduce((sum, row) => sum + row.estimated, 0),
      coverage: coverage(rows),
      pending: pending(rows),
      nodes: [...new Set(rows.flatMap((row) => row.nodes))].sort(),
    }));
}

const village_of = (row: ServiceView): string => row.village_name ?? row.village_code ?? '';

export interface SilentVillage {
  code: string;
  name: string;
  coverage: Coverage;
}

/** Villages with nodes of which nothing came today: unknown, not zero. */
export function villages_without_data(services: readonly ServiceView[], nodes: readonly NodeView[]): SilentVillage[] {
  const reported = new Set(services.map((row) => row.village_code));
  const silent = new Map<string, SilentVillage>();
  for (const node of nodes) {
    if (node.village_code === null || reported.has(node.village_code)) continue;
    const village = silent.get(node.village_code) ?? {
      code: node.village_code,
      name: node.village_name ?? node.village_code,
      coverage: { live: 0, total: 0 },
    };
    village.coverage.total += 1;
    if (node.liveness === 'live') village.coverage.live += 1;
    silent.set(node.village_code, village);
  }
  return [...silent.values()].sort((a, b) => a.name.localeCompare(b.name, 'id'));
}

/** Sums of a kind for the row of big figures; null while there is not one row. */
export function service_sums(
  services: readonly ServiceView[],
  simulated: boolean,
): { counted: number; counted_by_button: number; counted_by_api: number; visits_served: number; coverage: Coverage; pending: Pending } | null {
  const rows = services.filter((row) => row.simulated === simulated);
  if (rows.length === 0) return null;
  return {
    counted: rows.reduce((sum, row) => sum + row.counted, 0),
    ...by_source(rows),
    visits_served: rows.reduce((sum, row) => sum + row.visits_served, 0),
    coverage: coverage(rows),
    pending: pending(rows),
  };
}
