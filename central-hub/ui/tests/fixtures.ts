// Overviews for the tests, all as of one moment. What they hold is invented; the page itself holds nothing of it.

import type { CameraView, NodeView, Overview, ReadingView, ServiceView, StreamView } from '../src/api/model';

/** 24 November 2026, 09:41:05 WIB. */
export const NOW_MS = Date.UTC(2026, 10, 24, 2, 41, 5);
export const WIB = 420;
const TODAY_MS = Date.UTC(2026, 10, 23, 17, 0, 0);
const MINUTE = 60_000;

const LIMITS: Record<string, number> = { service: 64e6, event: 32e6, reading: 256e6, snapshot: 2e9 };

export function stream(name: string, change: Partial<StreamView> = {}): StreamView {
  return {
    stream: name,
    have_records: 4_210,
    backlog_records: 0,
    backlog_bytes: 0,
    limit_bytes: LIMITS[name] ?? 1e6,
    lost_records: 0,
    losses: [],
    ...change,
  };
}

export function camera(node: string, id: number, now_ms: number, change: Partial<CameraView> & { age_s?: number; simulated?: boolean } = {}): CameraView {
  const { age_s = 21, simulated = false, ...rest } = change;
  return {
    camera: 'depan',
    condition: 'good',
    snapshot: {
      id,
      node,
      camera: 'depan',
      at_ms: now_ms - age_s * 1_000,
      dating: 'clock',
      age_s,
      received_ms: now_ms - age_s * 1_000 + 900,
      width: 640,
      height: 360,
      masked_percent: 0,
      sha256: 'a3f1'.repeat(16),
      simulated,
    },
    ...rest,
  };
}

export function reading(metric: string, unit: string, value: number | null, now_ms: number, missing: string | null = null): ReadingView {
  return { metric, unit, at_ms: now_ms - 8_000, age_s: 8, value, missing };
}

export function node(id: string, now_ms: number, change: Partial<NodeView> & { heard_s?: number } = {}): NodeView {
  const { heard_s = 4, ...rest } = change;
  return {
    id,
    name: null,
    village_code: id.slice(0, 13),
    village_name: null,
    liveness: 'live',
    connected: true,
    last_heard_ms: now_ms - heard_s * 1_000,
    age_s: heard_s,
    interval_s: 30,
    version: '0.1.0',
    epoch: '6f2c91ab03de4471',
    epoch_count: 1,
    streams: ['service', 'event', 'reading', 'snapshot'].map((name) => stream(name)),
    cameras: [camera(id, hash(id), now_ms)],
    readings: [],
    last_event: null,
    fibre_cut: null,
    ...rest,
  };
}

export function service(code: string, village: NodeView, now_ms: number, change: Partial<ServiceView> = {}): ServiceView {
  return {
    village_code: village.village_code,
    village_name: village.village_name,
    service: code,
    counted: 12,
    visits_served: 9,
    visits_other: 1,
    last_at_ms: now_ms - 2 * MINUTE,
    nodes_live: village.liveness === 'live' ? 1 : 0,
    nodes_total: 1,
    backlog_records: village.streams.find((each) => each.stream === 'service')?.backlog_records ?? null,
    estimated: 0,
    simulated: false,
    nodes: [village.id],
    ...change,
  };
}

function hub(now_ms: number): Overview['hub'] {
  return {
    version: '0.1.0',
    generation: '1d0c77e2',
    uptime_s: 5 * 3_600 + 720,
    sessions: 2,
    database_bytes: 1_284_000_000,
    snapshot_bytes: 18_730_000_000,
    budget_bytes: 100_000_000_000,
    free_bytes: 212_400_000_000,
    days_left: 143.2,
    aside_count: 0,
    rollup_lag_batches: 0,
    mqtt_ready: true,
    withholding: false,
    last_backup_ms: now_ms - 7 * 3_600_000,
    restored: null,
    incoming_dropped: 0,
    quarantined: null,
  };
}

/** Three villages: one well, one with its fibre cut and a backlog, one with losses and a frozen camera. */
export function three_nodes(now_ms = NOW_MS): Overview {
  const well = node('35.12.07.2003-01', now_ms, {
    name: 'Balai Desa Sumberkolak',
    village_name: 'Sumberkolak',
    fibre_cut: false,
    readings: [
      reading('cpu_used', '%', 7.25, now_ms),
      reading('optics.0.rx_power', 'dBm', null, now_ms, 'no light'),
      reading('card_free', 'B', 0, now_ms),
      reading('temperature', '°C', -1.5, now_ms),
    ],
    last_event: event('35.12.07.2003-01', now_ms - 42 * MINUTE, 'started', 'info', 'version=0.1.0 clean=true new_boot=false'),
  });
  const cut = node('35.12.07.2005-01', now_ms, {
    name: 'Pasar Talkandang',
    village_name: 'Talkandang',
    liveness: 'silent',
    connected: false,
    heard_s: 254,
    fibre_cut: true,
    epoch_count: 2,
    streams: [
      stream('service', { backlog_records: 214, backlog_bytes: 41_800 }),
      stream('event', { backlog_records: 6, backlog_bytes: 1_310 }),
      stream('reading', { backlog_records: 10_240, backlog_bytes: 46_200 }),
      stream('snapshot', { backlog_records: 38, backlog_bytes: 1_710_000_000 }),
    ],
    cameras: [camera('35.12.07.2005-01', 205, now_ms, { age_s: 318 })],
    last_event: event('35.12.07.2005-01', now_ms - 254_000, 'link', 'warning', 'up=false detail=connection reset'),
  });
  const lossy = node('35.12.07.2006-01', now_ms, {
    name: 'Balai Desa Olean',
    village_name: 'Olean',
    liveness: 'late',
    heard_s: 71,
    epoch_count: 3,
    fibre_cut: false,
    streams: [
      stream('service'),
      stream('event', { backlog_records: 1, backlog_bytes: 180 }),
      stream('reading', {
        lost_records: 1_204,
        losses: [
          { epoch: '91aa03de44716f2c', first_seq: 88_001, last_seq: 89_200, reason: 'damaged' },
          { epoch: '6f2c91ab03de4471', first_seq: 412, last_seq: 415, reason: 'evicted' },
        ],
      }),
      stream('snapshot', { lost_records: 19, losses: [{ epoch: '91aa03de44716f2c', first_seq: 1_021, last_seq: 1_039, reason: 'thinned' }] }),
    ],
    cameras: [camera('35.12.07.2006-01', 206, now_ms, { condition: 'frozen' })],
    last_event: event('35.12.07.2006-01', now_ms - 11 * MINUTE, 'spool', 'critical', 'condition=quarantined detail=segment 17: bad page'),
  });
  return {
    now_ms,
    utc_offset_minutes: WIB,
    today_start_ms: TODAY_MS,
    district: 'Kabupaten Situbondo',
    nodes: [well, cut, lossy],
    services: [
      service('ktp', well, now_ms, { counted: 1_318, visits_served: 41, visits_other: 3 }),
      service('kk', well, now_ms, { counted: 17, visits_served: 0, visits_other: 0 }),
      service('ktp', cut, now_ms, { counted: 9, visits_served: 7, visits_other: 0, last_at_ms: now_ms - 5 * MINUTE, estimated: 3 }),
      service('ktp', well, now_ms, { counted: 64, visits_served: 58, visits_other: 6, simulated: true }),
      service('akta', well, now_ms, { counted: 22, visits_served: 20, visits_other: 2, simulated: true }),
    ],
    hub: hub(now_ms),
    demo: true,
  };
}

/** Registered and never heard from, as the hub says it: every stream there, nothing known of any. */
export function never_heard(id: string, now_ms: number): NodeView {
  const unknown = { have_records: 0, backlog_records: null, backlog_bytes: null, limit_bytes: null };
  return node(id, now_ms, {
    village_code: null,
    liveness: 'never',
    connected: false,
    last_heard_ms: null,
    age_s: null,
    interval_s: null,
    version: null,
    epoch: null,
    epoch_count: 0,
    streams: ['service', 'event', 'reading', 'snapshot'].map((name) => stream(name, unknown)),
    cameras: [],
  });
}

/** The demo as it starts: three nodes, all well, all of it simulated. */
export function demo_nodes(now_ms = NOW_MS): Overview {
  const names: [string, string, string][] = [
    ['35.12.07.2003-01', 'Balai Desa Sumberkolak', 'Sumberkolak'],
    ['35.12.07.2005-01', 'Pasar Talkandang', 'Talkandang'],
    ['35.12.07.2006-01', 'Balai Desa Olean', 'Olean'],
  ];
  const nodes = names.map(([id, name, village_name], index) =>
    node(id, now_ms, {
      name,
      village_name,
      fibre_cut: false,
      interval_s: 5,
      heard_s: index + 1,
      cameras: [camera(id, 300 + index, now_ms, { simulated: true, age_s: 4 + 3 * index })],
      last_event: event(id, now_ms - 9 * MINUTE, 'started', 'info', 'version=0.1.0 clean=true new_boot=true'),
    }),
  );
  const services = nodes.flatMap((each, index) =>
    ['ktp', 'kk', 'pengaduan'].map((code, place) =>
      service(code, each, now_ms, {
        counted: 31 + 7 * index - 9 * place,
        visits_served: 24 + 5 * index - 7 * place,
        visits_other: index,
        last_at_ms: now_ms - (12 + 31 * place) * 1_000,
        simulated: true,
      }),
    ),
  );
  return { now_ms, utc_offset_minutes: WIB, today_start_ms: TODAY_MS, nodes, services, hub: { ...hub(now_ms), sessions: 3, last_backup_ms: null, days_left: null }, demo: true };
}

const VILLAGES = ['Sumberejo', 'Kalibagor', 'Kotakan', 'Talkandang', 'Olean', 'Curah Jeru', 'Panji Kidul', 'Mimbaan', 'Ardirejo', 'Tenggir', 'Klampokan', 'Juglangan', 'Battal', 'Tokelan', 'Wringinanom', 'Kandang', 'Peleyan', 'Landangan', 'Kilensari', 'Duwet'];

/** A district of `count` nodes in as many villages, each thirtieth or so unwell. */
export function many_nodes(count: number, now_ms = NOW_MS): Overview {
  const nodes = Array.from({ length: count }, (_, index) => {
    const id = `35.12.${String(1 + Math.floor(index / 10)).padStart(2, '0')}.${2001 + (index % 10)}-01`;
    const village_name = `${VILLAGES[index % VILLAGES.length]}${index >= VILLAGES.length ? ` ${1 + Math.floor(index / VILLAGES.length)}` : ''}`;
    const named = { name: `Balai Desa ${village_name}`, village_name };
    if (index % 31 === 7) return node(id, now_ms, { ...named, liveness: 'silent', connected: false, heard_s: 3_000 + 900 * index });
    if (index % 37 === 11) return node(id, now_ms, { ...named, liveness: 'late', heard_s: 95 });
    if (index % 71 === 5)
      return node(id, now_ms, { ...named, liveness: 'never', connected: false, last_heard_ms: null, age_s: null, interval_s: null, version: null, epoch: null, epoch_count: 0, streams: [], cameras: [] });
    if (index % 43 === 3) return node(id, now_ms, { ...named, streams: [stream('service'), stream('snapshot', { lost_records: 4, losses: [{ epoch: 'e'.repeat(16), first_seq: 5, last_seq: 8, reason: 'thinned' }] })] });
    if (index % 29 === 9) return node(id, now_ms, { ...named, cameras: [camera(id, 1_000 + index, now_ms, { condition: 'black' })] });
    return node(id, now_ms, { ...named, cameras: [camera(id, 1_000 + index, now_ms, { age_s: 5 + (index % 50) })] });
  });
  const reporting = nodes.filter((each, index) => index % 12 !== 5 && each.liveness !== 'never');
  const services = reporting.flatMap((each, index) => ['ktp', 'kk', 'akta', 'domisili', 'pengaduan'].map((code, place) => service(code, each, now_ms, { counted: (index * 7 + place * 3) % 40, visits_served: (index * 5 + place) % 30 })));
  return { now_ms, utc_offset_minutes: WIB, today_start_ms: TODAY_MS, district: 'Kabupaten Situbondo', nodes, services, hub: { ...hub(now_ms), sessions: count - 9, aside_count: 3 }, demo: false };
}

function event(id: string, at_ms: number, kind: string, severity: string, detail: string): NodeView['last_event'] {
  return { id: 1, node: id, epoch: '6f2c91ab03de4471', seq: 7, at_ms, dating: 'clock', received_ms: at_ms + 300, kind, severity, detail };
}

function hash(text: string): number {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 100_003, 7);
}
