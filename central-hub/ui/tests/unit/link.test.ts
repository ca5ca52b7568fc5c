// The link to the hub: when it asks, when it waits, when it gives a connection up.

import { describe, expect, it } from 'vitest';
import { FETCH_IDLE_MS, FETCH_SPACING_MS, new_link, retry_delay_ms, RETRY_MS_MAX, RETRY_MS_MIN, step, STREAM_SILENT_MS, type Link, type LinkAction, type LinkEvent } from '../../src/api/link';
import { three_nodes } from '../fixtures';

/** Plays events at their times with `random` 0.5, and returns the last state and every action with its time. */
function play(events: [number, LinkEvent][], link: Link = new_link(0)): { link: Link; acts: [number, LinkAction][] } {
  const acts: [number, LinkAction][] = [];
  for (const [at, event] of events) {
    const done = step(link, at, event, 0.5);
    link = done.link;
    for (const action of done.actions) acts.push([at, action]);
  }
  return { link, acts };
}

const overview_came: LinkEvent = { type: 'overview_came', overview: three_nodes() };
const changed: LinkEvent = { type: 'stream_said', what: 'changed' };
const heartbeat: LinkEvent = { type: 'stream_said', what: 'heartbeat' };
const tick: LinkEvent = { type: 'tick' };
const CONNECTED: [number, LinkEvent][] = [[0, tick], [20, { type: 'stream_opened' }], [50, overview_came], [1_001, tick], [1_050, overview_came]];

describe('asking', () => {
  it('begins with a fetch and the stream', () => {
    expect(play([[0, tick]]).acts).toEqual([[0, 'open_stream'], [0, 'fetch_overview']]);
  });

  it('never has two fetches under way', () => {
    const { acts } = play([[0, tick], [10, changed], [20, changed], [5_000, tick]]);
    expect(acts.filter(([, action]) => action === 'fetch_overview')).toHaveLength(1);
  });

  it('asks again for what changed while an answer was under way', () => {
    const { acts } = play([[0, tick], [10, changed], [50, overview_came], [FETCH_SPACING_MS - 1, tick], [FETCH_SPACING_MS, tick]]);
    expect(acts.filter(([, action]) => action === 'fetch_overview').map(([at]) => at)).toEqual([0, FETCH_SPACING_MS]);
  });

  it('asks at most once a second however often something changes', () => {
    const storm: [number, LinkEvent][] = [];
    for (let at = 2_000; at < 12_000; at += 50) storm.push([at, changed], [at + 10, overview_came]);
    const fetches = play([...CONNECTED, ...storm]).acts.filter(([at, action]) => action === 'fetch_overview' && at >= 2_000);
    expect(fetches.length).toBeGreaterThanOrEqual(9);
    expect(fetches.length).toBeLessThanOrEqual(11);
  });

  it('asks every ten seconds when nothing changes', () => {
    const { acts } = play([...CONNECTED, [1_001 + FETCH_IDLE_MS - 1, heartbeat], [1_001 + FETCH_IDLE_MS, heartbeat]]);
    expect(acts.at(-1)).toEqual([1_001 + FETCH_IDLE_MS, 'fetch_overview']);
    expect(acts.filter(([at]) => at > 1_001)).toHaveLength(1);
  });

  it('dates an overview by when it was asked for, not by when it came', () => {
    expect(play([[0, tick], [7_000, overview_came]]).link.overview_at).toBe(0);
  });
});

describe('failing', () => {
  it('backs off with jitter up to a limit', () => {
    expect(retry_delay_ms(0, 0)).toBe(RETRY_MS_MIN / 2);
    expect(retry_delay_ms(50, 0.999_999)).toBeLessThanOrEqual(RETRY_MS_MAX);
    expect(retry_delay_ms(50, 0)).toBe(RETRY_MS_MIN / 2);
    expect(retry_delay_ms(3, 0.5)).toBeGreaterThan(retry_delay_ms(1, 0.5));
  });

  it('lets no change break through the backoff', () => {
    const failing: [number, LinkEvent][] = [[2_000, changed], [2_010, { type: 'overview_failed', failure: 'refused' }], [2_020, changed], [2_100, changed]];
    const { acts } = play([...CONNECTED, ...failing]);
    expect(acts.filter(([at, action]) => at > 2_000 && action === 'fetch_overview')).toEqual([]);
  });

  it('keeps the last overview when a fetch fails', () => {
    const { link } = play([...CONNECTED, [12_000, tick], [12_010, { type: 'overview_failed', failure: 'unreachable' }]]);
    expect(link.overview).not.toBeNull();
    expect(link.overview_at).toBe(1_001);
  });

  it('gives up a stream that stays silent and opens another', () => {
    const { acts } = play([...CONNECTED, [20 + STREAM_SILENT_MS, tick], [21 + STREAM_SILENT_MS, tick], [60_000, tick]]);
    expect(acts.filter(([at]) => at > 1_001).map(([, action]) => action)).toEqual(['fetch_overview', 'close_stream', 'open_stream']);
  });

  it('gives up a stream that never opens', () => {
    const { acts } = play([[0, tick], [STREAM_SILENT_MS + 1, tick]]);
    expect(acts).toContainEqual([STREAM_SILENT_MS + 1, 'close_stream']);
  });

  it('stops asking, forgets what it showed and closes the stream when the hub wants a token', () => {
    const { link, acts } = play([...CONNECTED, [12_000, tick], [12_010, { type: 'overview_failed', failure: 'unauthorized' }], [90_000, tick]]);
    expect(link.overview).toBeNull();
    expect(acts.at(-1)).toEqual([12_010, 'close_stream']);
  });

  it('starts again after signing in', () => {
    const { acts } = play([[0, tick], [10, { type: 'overview_failed', failure: 'unauthorized' }], [50_000, { type: 'signed_in' }]]);
    expect(acts.filter(([at]) => at === 50_000).map(([, action]) => action)).toEqual(['open_stream', 'fetch_overview']);
  });
});
