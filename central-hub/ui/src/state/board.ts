// What of a node's I/O board needs someone, and what of its readings may still be believed.

import type { BoardView, CageView, JudgementView, OpticalState, ReadingView } from '../api/model';

export type Severity = 'critical' | 'warning';

export interface BoardAlert {
  /** board: its condition; tamper; power; optics: the judgement of a receiver; cage: why it cannot be read; button. */
  kind: 'board' | 'tamper' | 'power' | 'optics' | 'cage' | 'button';
  /** The word that says what. */
  code: string;
  severity: Severity;
  since_ms: number | null;
  /** The cage, for optics and cage. */
  cage: number | null;
  /** The desk, for button. */
  desk: string | null;
}

/** Conditions in which the board still does its work: bytes or values were thrown away. */
const BOARD_WARNINGS: readonly string[] = ['unknown_message', 'frame_too_long', 'bad_frame', 'impossible_value'];

/** Reasons that are a fault; the others (no module, no diagnostics, not measured here) are how a cage is built. */
const FAULTS: readonly string[] = ['timeout', 'bad checksum', 'bus stuck', 'out of range', 'unreadable'];

export function is_fault(missing: string | null): boolean {
  return missing !== null && FAULTS.includes(missing);
}

const OPTICS: Record<OpticalState, Severity | null> = { good: null, weak: 'warning', critical: 'critical', overload: 'critical', no_light: 'critical', unknown: null };

/** What needs someone, worst first; of the same severity in the order in which a technician would look. */
export function board_alerts(board: BoardView | null): BoardAlert[] {
  if (board === null) return [];
  const found: BoardAlert[] = [];
  const add = (alert: Pick<BoardAlert, 'kind' | 'code' | 'severity' | 'since_ms'> & Partial<BoardAlert>): void => {
    found.push({ cage: null, desk: null, ...alert });
  };
  if (board.condition !== null && board.condition !== 'good') {
    add({ kind: 'board', code: board.condition, severity: BOARD_WARNINGS.includes(board.condition) ? 'warning' : 'critical', since_ms: board.since_ms });
  }
  if (board.power !== null && board.power.condition !== 'mains') {
    add({ kind: 'power', code: board.power.condition, severity: board.power.condition === 'battery' ? 'warning' : 'critical', since_ms: board.power.since_ms });
  }
  if (board.tamper?.open) add({ kind: 'tamper', code: 'open', severity: 'critical', since_ms: board.tamper.since_ms });
  for (const cage of board.cages) {
    const severity = cage.judgement === null ? null : OPTICS[cage.judgement.state];
    if (cage.judgement !== null && severity !== null) {
      add({ kind: 'optics', code: cage.judgement.state, severity, since_ms: cage.judgement.since_ms, cage: cage.cage });
      continue;
    }
    const why = [cage.missing, cage.rx_power?.missing ?? null].find(is_fault);
    if (why) add({ kind: 'cage', code: why, severity: 'warning', since_ms: cage.missing === why ? cage.since_ms : null, cage: cage.cage });
  }
  for (const { desk, since_ms } of board.buttons_stuck) add({ kind: 'button', code: 'stuck', severity: 'warning', since_ms, desk });
  return [...found.filter((alert) => alert.severity === 'critical'), ...found.filter((alert) => alert.severity === 'warning')];
}

/** Whether a reading says how it was and no longer how it is. */
export function is_stale(reading: ReadingView, board: BoardView, now_ms: number): boolean {
  return now_ms - reading.at_ms > board.stale_after_s * 1_000;
}

export type Quantity = 'rx_power' | 'tx_power' | 'tx_bias' | 'temperature' | 'supply';

/** A cage's readings in the order in which they are read: what comes in first. */
export const QUANTITIES: readonly Quantity[] = ['rx_power', 'tx_power', 'tx_bias', 'temperature', 'supply'];

/** The scale that received power is drawn on, in dBm: a little beyond what a receiver of any class meets. */
export const SCALE_DBM = { from: -35, to: -3 } as const;

/** Where a power lies on the scale, 0 to 1. */
export function on_scale(dbm: number): number {
  return Math.min(1, Math.max(0, (dbm - SCALE_DBM.from) / (SCALE_DBM.to - SCALE_DBM.from)));
}

/** The received power that can be shown as a number now, of the cage that a glance should show: the worst judged one. */
export function glance(board: BoardView): CageView | null {
  const rank = (cage: CageView): number => {
    const state = cage.judgement?.state;
    return state === undefined ? 3 : OPTICS[state] === 'critical' ? 0 : OPTICS[state] === 'warning' ? 1 : 2;
  };
  const judged = board.cages.filter((cage) => cage.judgement !== null && cage.judgement.state !== 'unknown');
  return [...judged].sort((a, b) => rank(a) - rank(b) || a.cage - b.cage)[0] ?? null;
}

/** Whether the judgement changed while somebody could have seen it: what it was before is worth a word. */
export function changed_from(judgement: JudgementView): OpticalState | null {
  return judgement.before !== null && judgement.before !== judgement.state ? judgement.before : null;
}
