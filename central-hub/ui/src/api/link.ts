// The link to the hub as a pure state machine: (state, now, event) -> state and actions. The driver (client.ts) does
// what the actions say and reports back; nothing here reads a clock, opens a connection or draws anything.
// `now` is local elapsed time in milliseconds, which never runs backwards.

import type { Overview } from './model';

/** The hub speaks every 5 s at the latest: three missed words mean that nobody may trust the picture. */
export const STREAM_SILENT_MS = 15_000;
/** An overview older than this with fetches failing is old, whatever the stream says. */
export const DATA_OLD_MS = 15_000;
/** At most one fetch a second, as the API asks: a busy district sends `changed` far more often. */
export const FETCH_SPACING_MS = 1_000;
/** A fetch at least this often, so that what changes without an event (backlogs, coverage) is never older. */
export const FETCH_IDLE_MS = 10_000;
/** Backoff after a failure, doubled up to the limit, with full jitter: twenty screens must not wake a hub at once. */
export const RETRY_MS_MIN = 1_000;
export const RETRY_MS_MAX = 10_000;

export type Failure = 'unreachable' | 'refused' | 'unauthorized' | 'bad_answer';

export interface Link {
  overview: Overview | null;
  /** When the shown overview was asked for: it is at least that fresh. */
  overview_at: number | null;
  /** When the page began to listen: a stream that never opens counts as silent from here. */
  began_at: number;
  /** When the stream last said anything. */
  heard_at: number | null;
  stream: 'closed' | 'opening' | 'open';
  stream_since: number;
  stream_retry_at: number;
  stream_failures: number;
  fetching_since: number | null;
  fetch_due_at: number;
  fetch_failures: number;
  last_fetch_at: number | null;
  failure: Failure | null;
  /** Something changed while a fetch was under way: its answer may lack it. */
  changed_again: boolean;
}

export type LinkEvent =
  | { type: 'tick' }
  | { type: 'stream_opened' }
  | { type: 'stream_said'; what: 'changed' | 'heartbeat' }
  | { type: 'stream_failed' }
  | { type: 'overview_came'; overview: Overview }
  | { type: 'overview_failed'; failure: Failure }
  | { type: 'signed_in' };

export type LinkAction = 'fetch_overview' | 'open_stream' | 'close_stream';

export function new_link(now: number): Link {
  return {
    overview: null,
    overview_at: null,
    began_at: now,
    heard_at: null,
    stream: 'closed',
    stream_since: now,
    stream_retry_at: now,
    stream_failures: 0,
    fetching_since: null,
    fetch_due_at: now,
    fetch_failures: 0,
    last_fetch_at: null,
    failure: null,
    changed_again: false,
  };
}

/** The wait before try number `failures` + 1; `random` in [0, 1). */
export function retry_delay_ms(failures: number, random: number): number {
  const ceiling = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures, 10));
  return RETRY_MS_MIN / 2 + random * (ceiling - RETRY_MS_MIN / 2);
}

export function step(before: Link, now: number, event: LinkEvent, random: number): { link: Link; actions: LinkAction[] } {
  const link = { ...before };
  const actions: LinkAction[] = [];

  switch (event.type) {
    case 'tick':
      break;
    case 'stream_opened':
      link.stream = 'open';
      link.stream_failures = 0;
      link.heard_at = now;
      link.stream_since = now;
      ask_by(link, now);
      break;
    case 'stream_said':
      link.stream = 'open';
      link.heard_at = now;
      if (event.what === 'changed') ask_by(link, now);
      break;
    case 'stream_failed':
      drop_stream(link, now, random);
      actions.push('close_stream');
      break;
    case 'overview_came':
      link.overview = event.overview;
      link.overview_at = link.fetching_since ?? now;
      link.fetching_since = null;
      link.fetch_failures = 0;
      link.failure = null;
      link.fetch_due_at = (link.last_fetch_at ?? now) + (link.changed_again ? FETCH_SPACING_MS : FETCH_IDLE_MS);
      link.changed_again = false;
      break;
    case 'overview_failed':
      link.fetching_since = null;
      link.failure = event.failure;
      link.fetch_due_at = now + retry_delay_ms(link.fetch_failures, random);
      link.fetch_failures += 1;
      link.changed_again = false;
      if (event.failure === 'unauthorized') {
        link.overview = null;
        link.overview_at = null;
        if (link.stream !== 'closed') actions.push('close_stream');
        link.stream = 'closed';
      }
      break;
    case 'signed_in':
      link.began_at = now;
      link.heard_at = null;
      link.failure = null;
      link.fetch_failures = 0;
      link.fetch_due_at = now;
      link.stream_retry_at = now;
      break;
  }

  if (link.failure === 'unauthorized') return { link, actions };

  const silent_since = link.stream === 'open' ? (link.heard_at ?? link.stream_since) : link.stream_since;
  if (link.stream !== 'closed' && now - silent_since > STREAM_SILENT_MS) {
    // A half-open connection never errors by itself.
    drop_stream(link, now, random);
    actions.push('close_stream');
  }
  if (link.stream === 'closed' && now >= link.stream_retry_at) {
    link.stream = 'opening';
    link.stream_since = now;
    actions.push('open_stream');
  }
  if (link.fetching_since === null && now >= link.fetch_due_at) {
    link.fetching_since = now;
    link.last_fetch_at = now;
    actions.push('fetch_overview');
  }
  return { link, actions };
}

function ask_by(link: Link, now: number): void {
  if (link.fetching_since !== null) {
    link.changed_again = true;
    return;
  }
  const earliest = link.last_fetch_at === null ? now : link.last_fetch_at + FETCH_SPACING_MS;
  // While fetches fail, their backoff holds: a changing district must not defeat it.
  if (link.fetch_failures === 0) link.fetch_due_at = Math.min(link.fetch_due_at, Math.max(now, earliest));
}

function drop_stream(link: Link, now: number, random: number): void {
  link.stream = 'closed';
  link.stream_retry_at = now + retry_delay_ms(link.stream_failures, random);
  link.stream_failures += 1;
}
