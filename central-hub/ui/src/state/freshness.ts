// Whether what the page shows may be believed. One rule for the whole page; time is an argument.

import { DATA_OLD_MS, STREAM_SILENT_MS, type Link } from '../api/link';

export type Reason = 'stream_silent' | 'unreachable' | 'refused' | 'bad_answer';

export type Freshness =
  | { kind: 'waiting'; failed: Reason | null }
  | { kind: 'sign_in' }
  | { kind: 'fresh'; reconnecting: boolean }
  | { kind: 'old'; reason: Reason };

export function freshness(link: Link, now: number): Freshness {
  if (link.failure === 'unauthorized') return { kind: 'sign_in' };
  const failure = link.failure;
  if (link.overview === null || link.overview_at === null) return { kind: 'waiting', failed: failure };

  const data_age = now - link.overview_at;
  const silent = now - (link.heard_at ?? link.began_at) > STREAM_SILENT_MS;
  if (failure !== null && data_age > DATA_OLD_MS) return { kind: 'old', reason: failure };
  if (silent) return { kind: 'old', reason: failure ?? 'stream_silent' };
  // The screen's machine slept, or an answer hangs: nothing failed, and yet the figures are old.
  if (data_age > 2 * DATA_OLD_MS) return { kind: 'old', reason: failure ?? 'unreachable' };
  return { kind: 'fresh', reconnecting: link.stream !== 'open' || failure !== null };
}
