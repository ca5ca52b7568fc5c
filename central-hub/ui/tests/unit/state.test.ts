// The room's rules: what is old, what is worst, what is unknown.

import { describe, expect, it } from 'vitest';
import { new_link, type Link } from '../../src/api/link';
import type { RolloutCountsView, RolloutView } from '../../src/api/model';
import { parse_overview, parse_rollouts } from '../../src/api/parse';
import { announcements } from '../../src/state/announce';
import { arrange_cameras, IMAGE_STALE_MS, IMAGE_TOO_OLD_MS, picture } from '../../src/state/cameras';
import { Elapsed, hub_now_ms } from '../../src/state/clock';
import { freshness } from '../../src/state/freshness';
import { backup_overdue, budget_share, days_short, hub_alerts } from '../../src/state/hub';
import { arrange, backlog_share, compare_worst_first, group_by_liveness, short_titles, totals, troubles } from '../../src/state/nodes';
import { shown_counts, shown_rollouts } from '../../src/state/updates';
import { coverage, group_services, service_sums, villages_without_data } from '../../src/state/services';
import { camera, many_nodes, node, NOW_MS, service, stream, three_nodes } from '../fixtures';

describe('freshness', () => {
  const link = (change: Partial<Link>): Link => ({ ...new_link(0), stream: 'open', overview: three_nodes(), overview_at: 0, heard_at: 0, ...change });

  it('is fresh while the stream speaks and the data are new', () => {
    expect(freshness(link({}), 14_999)).toEqual({ kind: 'fresh', reconnecting: false });
  });
  it('is old when the stream is silent for more than 15 s, although fetches succeed', () => {
    expect(freshness(link({ overview_at: 14_000 }), 15_000).kind).toBe('fresh');
    expect(freshness(link({ overview_at: 14_000 }), 15_001)).toEqual({ kind: 'old', reason: 'stream_silent' });
  });
  it('is old when a stream never opened', () => {
    expect(freshness(link({ heard_at: null, stream: 'opening', overview_at: 14_000 }), 15_001).kind).toBe('old');
  });
  it('is old when fetches fail, although the stream speaks', () => {
    expect(freshness(link({ heard_at: 15_001, failure: 'refused' }), 15_001)).toEqual({ kind: 'old', reason: 'refused' });
  });
  it('says that it reconnects before the data are old', () => {
    expect(freshness(link({ stream: 'closed' }), 5_000)).toEqual({ kind: 'fresh', reconnecting: true });
  });
  it('is old when an answer hangs for long', () => {
    expect(freshness(link({ heard_at: 31_000 }), 31_000).kind).toBe('old');
  });
  it('waits before the first answer and says why none comes', () => {
    expect(freshness(new_link(0), 5_000)).toEqual({ kind: 'waiting', failed: null });
    expect(freshness({ ...new_link(0), failure: 'unreachable' }, 5_000)).toEqual({ kind: 'waiting', failed: 'unreachable' });
  });
});

describe('clock', () => {
  it('takes the clock that says that more time passed', () => {
    const elapsed = new Elapsed(100, 1_000_000);
    expect(elapsed.read(1_100, 1_001_000)).toBe(1_000);
    expect(elapsed.read(1_200, 1_601_000)).toBe(601_000); // slept: the monotonic clock stood still
    expect(elapsed.read(2_200, 5_000)).toBe(602_000); // the wall clock was set back
    expect(elapsed.read(2_200, 5_000)).toBe(602_000);
  });
  it('carries the hub time on and never back', () => {
    expect(hub_now_ms(NOW_MS, 500, 2_500)).toBe(NOW_MS + 2_000);
    expect(hub_now_ms(NOW_MS, 500, 400)).toBe(NOW_MS);
  });
});

describe('nodes', () => {
  it('keep their places while they are few', () => {
    expect(arrange(three_nodes().nodes).map((each) => each.id)).toEqual(['35.12.07.2003-01', '35.12.07.2005-01', '35.12.07.2006-01']);
  });
  it('come worst first when they are many', () => {
    const order = arrange(many_nodes(150).nodes).map((each) => each.liveness);
    expect(order[0]).toBe('silent');
    expect(order.at(-1)).toBe('live');
    expect(order.join(' ')).toMatch(/^(silent )+(late )+(never )+(live ?)+$/);
  });
  it('with more trouble come before sound ones of the same state', () => {
    const sound = node('a-01', NOW_MS);
    const lossy = node('b-01', NOW_MS, { streams: [stream('service', { lost_records: 1 })] });
    expect([sound, lossy].sort(compare_worst_first)).toEqual([lossy, sound]);
    expect(troubles(lossy)).toEqual(['lost']);
  });
  it('are grouped without empty groups and without losing one', () => {
    const groups = group_by_liveness(three_nodes().nodes);
    expect(groups.map((group) => [group.liveness, group.nodes.length])).toEqual([['silent', 1], ['late', 1], ['live', 1]]);
  });
  it('have an unknown share when they never said', () => {
    expect(backlog_share(stream('service', { backlog_bytes: null }))).toBeNull();
    expect(backlog_share(stream('service', { limit_bytes: null }))).toBeNull();
    expect(backlog_share(stream('service', { backlog_bytes: 0 }))).toBe(0);
    expect(backlog_share(stream('service', { backlog_bytes: 9e9 }))).toBe(1);
  });
  it('are named by their village alone only when it has one', () => {
    const titles = short_titles([node('1-01', 0, { name: 'Balai A', village_name: 'A' }), node('2-01', 0, { name: 'Balai B', village_name: 'B' }), node('2-02', 0, { name: 'Pasar B', village_name: 'B' })]);
    expect([...titles.values()]).toEqual(['A', 'Balai B', 'Pasar B']);
  });
});

describe('totals', () => {
  it('are unknown while no node ever said, not 0', () => {
    const quiet = node('a', NOW_MS, { streams: [stream('service', { backlog_records: null, backlog_bytes: null })] });
    expect(totals([quiet])).toMatchObject({ backlog_records: null, backlog_bytes: null, backlog_unknown_nodes: 1 });
    expect(totals([])).toMatchObject({ backlog_records: null, backlog_unknown_nodes: 0 });
  });
  it('count the nodes that a sum lacks', () => {
    const quiet = node('a', NOW_MS, { streams: [] });
    const said = node('b', NOW_MS, { streams: [stream('service', { backlog_records: 3, backlog_bytes: 90 })] });
    expect(totals([quiet, said])).toMatchObject({ backlog_records: 3, backlog_bytes: 90, backlog_unknown_nodes: 1 });
  });
  it('count a node that went quiet as unknown, whatever it said last', () => {
    const said = (id: string, liveness: 'live' | 'late' | 'silent') =>
      node(id, NOW_MS, { liveness, streams: [stream('service', { backlog_records: 0, backlog_bytes: 0 })] });
    expect(totals([said('a', 'live'), said('b', 'silent')])).toMatchObject({ backlog_records: 0, backlog_unknown_nodes: 1 });
    expect(totals([said('a', 'late'), said('b', 'silent')])).toMatchObject({ backlog_records: null, backlog_bytes: null, backlog_unknown_nodes: 2 });
  });
  it('tell losses by stream', () => {
    expect(totals(three_nodes().nodes).lost_by_stream).toEqual([{ stream: 'reading', records: 1_204 }, { stream: 'snapshot', records: 19 }]);
  });
});

describe('cameras', () => {
  const live = node('a', NOW_MS);
  const aged = (age_ms: number) => camera('a', 1, NOW_MS, { age_s: age_ms / 1_000 });

  it('are faded after five minutes and taken off after thirty', () => {
    expect(picture(aged(IMAGE_STALE_MS), live, NOW_MS).kind).toBe('current');
    expect(picture(aged(IMAGE_STALE_MS + 1_000), live, NOW_MS).kind).toBe('stale');
    expect(picture(aged(IMAGE_TOO_OLD_MS), live, NOW_MS).kind).toBe('stale');
    expect(picture(aged(IMAGE_TOO_OLD_MS + 1_000), live, NOW_MS).kind).toBe('too_old');
  });
  it('of a node that stopped speaking are faded after three of its intervals', () => {
    const quiet = node('a', NOW_MS, { liveness: 'late', interval_s: 30 });
    expect(picture(aged(90_000), quiet, NOW_MS).kind).toBe('current');
    expect(picture(aged(91_000), quiet, NOW_MS).kind).toBe('stale');
    expect(picture(aged(91_000), live, NOW_MS).kind).toBe('current');
  });
  it('in trouble show no image, each by its own name', () => {
    for (const trouble of ['unreachable', 'unauthorized', 'bad_image', 'frozen', 'black', 'view_changed']) {
      expect(picture(camera('a', 1, NOW_MS, { condition: trouble }), live, NOW_MS)).toEqual({ kind: 'trouble', trouble });
    }
  });
  it('in a trouble that this page does not know show no image either', () => {
    expect(picture(camera('a', 1, NOW_MS, { condition: 'lens_stolen' }), live, NOW_MS)).toEqual({ kind: 'trouble', trouble: 'other' });
  });
  it('without a word about themselves show their image', () => {
    expect(picture(camera('a', 1, NOW_MS, { condition: null }), live, NOW_MS).kind).toBe('current');
  });
  it('that show something come first and then keep their places', () => {
    const seats = arrange_cameras(three_nodes().nodes, NOW_MS);
    expect(seats.map((seat) => seat.node.id.slice(-4, -3) + seat.camera.condition)).toEqual(['3good', '5good', '6frozen']);
  });
});

describe('services', () => {
  const village = node('35.12.07.2003-01', NOW_MS, { village_name: 'Sumberkolak' });
  const other = node('35.12.07.2005-01', NOW_MS, { village_name: 'Talkandang', liveness: 'silent' });

  it('keep a simulator apart from people', () => {
    const rows = [service('ktp', village, NOW_MS, { counted: 5 }), service('ktp', village, NOW_MS, { counted: 70, simulated: true })];
    expect(group_services(rows, false)[0]?.counted).toBe(5);
    expect(group_services(rows, true)[0]?.counted).toBe(70);
    expect(service_sums(rows, false)?.counted).toBe(5);
  });
  it('are unknown without a row, and 0 with a row of 0', () => {
    expect(service_sums([], false)).toBeNull();
    expect(service_sums([service('ktp', village, NOW_MS, { simulated: true })], false)).toBeNull();
    expect(service_sums([service('ktp', village, NOW_MS, { counted: 0 })], false)?.counted).toBe(0);
  });
  it('cover each village once, however many services it reports', () => {
    const rows = [service('ktp', village, NOW_MS), service('kk', village, NOW_MS), service('ktp', other, NOW_MS)];
    expect(coverage(rows)).toEqual({ live: 1, total: 2 });
  });
  it('sum villages and take the newest time and every source', () => {
    const rows = [service('ktp', village, NOW_MS, { last_at_ms: 5 }), service('ktp', other, NOW_MS, { last_at_ms: 9 })];
    expect(group_services(rows, false)[0]).toMatchObject({ counted: 24, last_at_ms: 9, nodes: [village.id, other.id], coverage: { live: 1, total: 2 } });
  });
  it('name the villages of which nothing came', () => {
    expect(villages_without_data([service('ktp', village, NOW_MS)], [village, other])).toEqual([
      { code: '35.12.07.2005', name: 'Talkandang', coverage: { live: 0, total: 1 } },
    ]);
  });
});

describe('hub', () => {
  const hub = three_nodes().hub;
  it('needs someone when a backup is late or never was', () => {
    expect(backup_overdue(hub, NOW_MS)).toBe(false);
    expect(backup_overdue({ ...hub, last_backup_ms: null }, NOW_MS)).toBe(true);
    expect(backup_overdue({ ...hub, last_backup_ms: NOW_MS - 40 * 3_600_000 }, NOW_MS)).toBe(true);
  });
  it('does not take an unknown number of days for few', () => {
    expect(days_short({ ...hub, days_left: null })).toBe(false);
    expect(days_short({ ...hub, days_left: 13.9 })).toBe(true);
    expect(budget_share({ ...hub, budget_bytes: 0 })).toBeNull();
  });
  it('alarms once for each thing that is wrong, also after a restore', () => {
    expect(hub_alerts(hub)).toEqual([]);
    const wrong = { ...hub, withholding: true, mqtt_ready: false, quarantined: 'set aside', restored: { at_ms: NOW_MS, backup_ms: null }, paused_rollouts: [{ number: 3, reason: 'x' }] };
    expect(hub_alerts(wrong).map((alert) => alert.kind)).toEqual(['withholding', 'mqtt_down', 'quarantined', 'restored', 'rollout_paused']);
    expect(hub_alerts(wrong).at(-1)?.detail).toBe('3: x');
  });
});

describe('rollouts', () => {
  const counts: RolloutCountsView = { planned: 3, waiting: 0, trial: 1, confirmed: 9, rolled_back: 1, refused: 0, silent: 0, behind: 0 };
  const rollout = (number: number, state: string): RolloutView =>
    ({ number, part: 'agent', version: '0.2.0', state, reason: '', ring: 1, rings: '1,all', rings_total: 2, nodes_total: 14, counts, made_ms: 0, made_by: 'cli:agus' });
  it('that are open come first, then the newest, and no more than five', () => {
    const all = [rollout(9, 'finished'), rollout(8, 'cancelled'), rollout(7, 'finished'), rollout(6, 'running'), rollout(5, 'finished'), rollout(4, 'paused')];
    expect(shown_rollouts(all).map((it) => it.number)).toEqual([6, 4, 9, 8, 7]);
  });
  it('show what is not zero, and mark bad news', () => {
    expect(shown_counts(counts).map((it) => [it.kind, it.nodes, it.bad])).toEqual([['planned', 3, false], ['trial', 1, false], ['confirmed', 9, false], ['rolled_back', 1, true]]);
  });
  it('are refused when the answer is none', () => {
    expect(parse_rollouts([rollout(1, 'running')])).toHaveLength(1);
    for (const answer of [null, {}, [{}], [{ ...rollout(1, 'running'), counts: null }]]) expect(parse_rollouts(answer)).toBeUndefined();
  });
});

describe('announcements', () => {
  const before = { freshness: 'fresh' as const, liveness: new Map(three_nodes().nodes.map((each) => [each.id, each.liveness])) };
  it('say nothing while nothing changes', () => {
    expect(announcements(before, 'fresh', three_nodes().nodes)).toEqual([]);
  });
  it('say a node that changed and data that grew old', () => {
    const nodes = three_nodes().nodes.map((each, index) => (index === 0 ? { ...each, liveness: 'late' as const } : each));
    expect(announcements(before, 'old', nodes)).toEqual([{ kind: 'data_old' }, { kind: 'node', title: 'Balai Desa Sumberkolak', liveness: 'late' }]);
  });
  it('say many changes as a number', () => {
    const nodes = many_nodes(20).nodes;
    const all_never = { freshness: 'fresh' as const, liveness: new Map(nodes.map((each) => [each.id, 'never' as const])) };
    expect(announcements(all_never, 'fresh', nodes)).toEqual([{ kind: 'many', count: 19 }]);
  });
});

describe('answers', () => {
  it('that are no overview are refused', () => {
    for (const answer of [null, [], 'x', {}, { ...three_nodes(), nodes: [{}] }, { ...three_nodes(), now_ms: null }, { ...three_nodes(), hub: null }]) {
      expect(parse_overview(answer)).toBeNull();
    }
    expect(parse_overview({ ...three_nodes(), later_field: 1 })).not.toBeNull();
  });
});
