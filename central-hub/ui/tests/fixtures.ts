// Overviews for the tests, all as of one moment. What they hold is invented; the page itself holds nothing of it.

import type { BoardView, CageView, CameraView, NodeView, OpticalState, Overview, ReadingView, ServiceView, StreamView } from '../src/api/model';

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

/** A board that is well: on mains, a good module in the first cage, nothing in the second. */
export function board(now_ms: number, change: Partial<BoardView> = {}): BoardView {
  return {
    serial: 'e66118c4e3562a31',
    condition: 'good',
    detail: null,
    since_ms: now_ms - 26 * 60 * MINUTE,
    last_fault: null,
    started: { serial: 'e66118c4e3562a31', boot: 7, reset: 'power_on', firmware: '0.1.0', hardware: 'pico', at_ms: now_ms - 26 * 60 * MINUTE },
    tamper: { open: false, since_ms: now_ms - 26 * 60 * MINUTE },
    buttons_stuck: [],
    power: { condition: 'mains', since_ms: now_ms - 26 * 60 * MINUTE },
    last_outage: { outage_ms: 754_000, ended_ms: now_ms - 26 * 60 * MINUTE },
    supply_voltage: reading('supply_voltage', 'V', 12.08, now_ms),
    battery_voltage: reading('battery_voltage', 'V', 12.91, now_ms),
    cages: [cage(0, now_ms, -19.32, 'good'), empty_cage(1, now_ms, 'no module')],
    stale_after_s: 180,
    ...change,
  };
}

/** A cage with a module that measures. `rx_dbm` null: no light. */
export function cage(number: number, now_ms: number, rx_dbm: number | null, state: OpticalState, change: Partial<CageView> = {}): CageView {
  const measured = (name: string, unit: string, value: number | null, missing: string | null = null): ReadingView => reading(`optics.${number}.${name}`, unit, value, now_ms, missing);
  return {
    cage: number,
    module: { vendor: 'ACME', part: 'SFP-GPON-B+', serial: 'GP2311048', wavelength_nm: 1_490, measures: true },
    missing: null,
    since_ms: now_ms - 26 * 60 * MINUTE,
    judgement: {
      state,
      since_ms: now_ms - 41 * MINUTE,
      before: null,
      at_ms: now_ms - 8_000,
      limits: { critical_below_dbm: -27, weak_below_dbm: -25, overload_above_dbm: -8, own: false },
    },
    rx_power: measured('rx_power', 'dBm', rx_dbm, rx_dbm === null ? 'no light' : null),
    tx_power: measured('tx_power', 'dBm', 2.41),
    tx_bias: measured('tx_bias', 'mA', 11.6),
    temperature: measured('temperature', '°C', 44.25),
    supply: measured('supply', 'V', 3.28),
    ...change,
  };
}

/** A cage without a module, for this reason. */
export function empty_cage(number: number, now_ms: number, missing: string): CageView {
  const nothing = (name: string, unit: string): ReadingView => reading(`optics.${number}.${name}`, unit, null, now_ms, missing);
  const full = cage(number, now_ms, null, 'unknown');
  return {
    ...full,
    module: null,
    missing,
    judgement: full.judgement && { ...full.judgement, since_ms: null },
    rx_power: nothing('rx_power', 'dBm'),
    tx_power: nothing('tx_power', 'dBm'),
    tx_bias: nothing('tx_bias', 'mA'),
    temperature: nothing('temperature', '°C'),
    supply: nothing('supply', 'V'),
  };
}

/** The same board as it was `age_s` ago: nothing came since. */
export function aged(old: BoardView, age_s: number): BoardView {
  const older = (held: ReadingView | null): ReadingView | null => held && { ...held, at_ms: held.at_ms - age_s * 1_000, age_s: held.age_s + age_s };
  return {
    ...old,
    supply_voltage: older(old.supply_voltage),
    battery_voltage: older(old.battery_voltage),
    cages: old.cages.map((each) => ({
      ...each,
      rx_power: older(each.rx_power),
      tx_power: older(each.tx_power),
      tx_bias: older(each.tx_bias),
      temperature: older(each.temperature),
      supply: older(each.supply),
    })),
  };
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
    platform: 'aarch64-linux',
    epoch: '6f2c91ab03de4471',
    epoch_count: 1,
    streams: ['service', 'event', 'reading', 'snapshot'].map((name) => stream(name)),
    cameras: [camera(id, hash(id), now_ms)],
    readings: [],
    board: null,
    last_command: null,
    last_event: null,
    fibre_cut: null,
    ...rest,
  };
}

export function service(code: string, village: NodeView, now_ms: number, change: Partial<ServiceView> = {}): ServiceView {
  const counted = change.counted ?? 12;
  const by_button = change.counted_by_button ?? 0;
  return {
    village_code: village.village_code,
    village_name: village.village_name,
    service: code,
    counted,
    counted_by_button: by_button,
    counted_by_api: counted - by_button,
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
    paused_rollouts: [],
  };
}

function weak_cage(now_ms: number): CageView {
  const weak = cage(0, now_ms, -26.4, 'weak');
  return { ...weak, judgement: weak.judgement && { ...weak.judgement, since_ms: now_ms - 6 * MINUTE, before: 'good' } };
}

function dark_cage(now_ms: number): CageView {
  const dark = cage(0, now_ms, null, 'no_light');
  return { ...dark, judgement: dark.judgement && { ...dark.judgement, since_ms: now_ms - 11 * MINUTE, before: 'good' } };
}

/** Three villages: one well, one with its fibre cut and a backlog, one with losses and a frozen camera. */
export function three_nodes(now_ms = NOW_MS): Overview {
  const well = node('35.12.07.2003-01', now_ms, {
    name: 'Balai Desa Sumberkolak',
    village_name: 'Sumberkolak',
    fibre_cut: false,
    board: board(now_ms),
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
    board: aged(
      board(now_ms, {
        power: { condition: 'battery', since_ms: now_ms - 6 * MINUTE },
        supply_voltage: reading('supply_voltage', 'V', 0.31, now_ms),
        battery_voltage: reading('battery_voltage', 'V', 11.72, now_ms),
        cages: [weak_cage(now_ms)],
      }),
      250,
    ),
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
    readings: [
      reading('cpu_used', '%', 7.25, now_ms),
      reading('optics.0.rx_power', 'dBm', null, now_ms, 'no light'),
      reading('card_free', 'B', 0, now_ms),
      reading('temperature', '°C', -1.5, now_ms),
    ],
    board: board(now_ms, {
      tamper: { open: true, since_ms: now_ms - 12 * MINUTE },
      last_fault: { condition: 'frame_too_long', detail: '300 bytes without an end', at_ms: now_ms - 13 * MINUTE },
      battery_voltage: reading('battery_voltage', 'V', null, now_ms, 'not supported'),
      cages: [dark_cage(now_ms), empty_cage(1, now_ms, 'bad checksum')],
    }),
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
      service('ktp', well, now_ms, { counted: 1_318, counted_by_button: 306, visits_served: 41, visits_other: 3 }),
      service('kk', well, now_ms, { counted: 17, visits_served: 0, visits_other: 0 }),
      service('ktp', cut, now_ms, { counted: 9, counted_by_button: 9, visits_served: 7, visits_other: 0, last_at_ms: now_ms - 5 * MINUTE, estimated: 3 }),
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
      board: board(now_ms, { cages: [cage(0, now_ms, -18.7 - index, 'good')] }),
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
        counted_by_button: 12 + 3 * index - 4 * place,
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
