// When the hub's own figures need someone.

import type { HubView } from '../api/model';

const DAY_MS = 86_400_000;

/** A daily backup that is half a day late is late. */
export const BACKUP_OVERDUE_MS = 1.5 * DAY_MS;
/** From this share of the disk budget on, images are about to be thinned. */
export const BUDGET_NEAR = 0.85;
/** Fewer days than this and a disk cannot be bought and brought in time. */
export const DAYS_SHORT = 14;

export function budget_share(hub: HubView): number | null {
  if (hub.budget_bytes <= 0) return null;
  return (hub.database_bytes + hub.snapshot_bytes) / hub.budget_bytes;
}

export function backup_overdue(hub: HubView, now_ms: number): boolean {
  return hub.last_backup_ms === null || now_ms - hub.last_backup_ms > BACKUP_OVERDUE_MS;
}

export function days_short(hub: HubView): boolean {
  return hub.days_left !== null && hub.days_left < DAYS_SHORT;
}

export interface HubAlert {
  kind: 'withholding' | 'mqtt_down' | 'quarantined' | 'restored' | 'rollout_paused';
  /** The hub's own words, if it has any. */
  detail: string | null;
}

export function hub_alerts(hub: HubView): HubAlert[] {
  const alerts: HubAlert[] = [];
  if (hub.withholding) alerts.push({ kind: 'withholding', detail: null });
  if (!hub.mqtt_ready) alerts.push({ kind: 'mqtt_down', detail: null });
  if (hub.quarantined !== null) alerts.push({ kind: 'quarantined', detail: hub.quarantined });
  if (hub.restored !== null) alerts.push({ kind: 'restored', detail: null });
  // A hub of before updates has no such list.
  const paused = (hub.paused_rollouts ?? []).map(({ number, reason }) => `${number}: ${reason}`);
  if (paused.length > 0) alerts.push({ kind: 'rollout_paused', detail: paused.join('; ') });
  return alerts;
}
