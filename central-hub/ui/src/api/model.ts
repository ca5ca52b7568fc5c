// What the hub's API says: one interface a struct of central-hub/src/view/model.rs and model/, same names, same fields (a test
// compares them).
// Times are Unix milliseconds UTC, ages seconds; unknown is null, never 0.

export type Liveness = 'live' | 'late' | 'silent' | 'never';
export type OpticalState = 'good' | 'weak' | 'critical' | 'overload' | 'no_light' | 'unknown';
export type DatingView = 'clock' | 'anchor' | 'estimated' | 'undated';

export interface Overview {
  now_ms: number;
  utc_offset_minutes: number;
  today_start_ms: number;
  nodes: NodeView[];
  services: ServiceView[];
  hub: HubView;
  demo: boolean;
  /** The district's name. A hub that does not know it leaves it out. */
  district?: string | null;
}

export interface NodeView {
  id: string;
  name: string | null;
  village_code: string | null;
  village_name: string | null;
  liveness: Liveness;
  connected: boolean | null;
  last_heard_ms: number | null;
  age_s: number | null;
  interval_s: number | null;
  version: string | null;
  platform: string | null;
  epoch: string | null;
  epoch_count: number;
  streams: StreamView[];
  cameras: CameraView[];
  readings: ReadingView[];
  board: BoardView | null;
  last_command: CommandResultView | null;
  last_event: EventView | null;
  fibre_cut: boolean | null;
}

export interface StreamView {
  stream: string;
  have_records: number;
  backlog_records: number | null;
  backlog_bytes: number | null;
  limit_bytes: number | null;
  lost_records: number;
  losses: LossView[];
}

export interface LossView {
  epoch: string;
  first_seq: number;
  last_seq: number;
  reason: string;
}

export interface CameraView {
  camera: string;
  snapshot: SnapshotView | null;
  condition: string | null;
}

export interface SnapshotView {
  id: number;
  node: string;
  camera: string;
  at_ms: number;
  dating: DatingView;
  age_s: number;
  received_ms: number;
  width: number;
  height: number;
  masked_percent: number;
  sha256: string;
  simulated: boolean;
}

export interface ReadingView {
  metric: string;
  unit: string;
  at_ms: number;
  age_s: number;
  value: number | null;
  missing: string | null;
}

export interface ServiceView {
  village_code: string | null;
  village_name: string | null;
  service: string;
  counted: number;
  counted_by_button: number;
  counted_by_api: number;
  visits_served: number;
  visits_other: number;
  last_at_ms: number;
  nodes_live: number;
  nodes_total: number;
  backlog_records: number | null;
  estimated: number;
  simulated: boolean;
  nodes: string[];
}

export interface EventView {
  id: number;
  node: string;
  epoch: string;
  seq: number;
  at_ms: number;
  dating: DatingView;
  received_ms: number;
  kind: string;
  severity: string;
  detail: string;
}

/** A node's I/O board. A field that was never said is null. */
export interface BoardView {
  serial: string | null;
  condition: string | null;
  detail: string | null;
  since_ms: number | null;
  last_fault: BoardFaultView | null;
  started: BoardStartedView | null;
  tamper: TamperView | null;
  buttons_stuck: StuckButtonView[];
  power: PowerView | null;
  last_outage: OutageView | null;
  supply_voltage: ReadingView | null;
  battery_voltage: ReadingView | null;
  cages: CageView[];
  /** A reading of the board that is older than this is stale. */
  stale_after_s: number;
}

export interface BoardFaultView {
  condition: string;
  detail: string;
  at_ms: number;
}

export interface BoardStartedView {
  serial: string;
  boot: number;
  reset: string;
  firmware: string;
  hardware: string | null;
  at_ms: number;
}

export interface TamperView {
  open: boolean;
  since_ms: number;
}

export interface StuckButtonView {
  desk: string;
  since_ms: number;
}

export interface PowerView {
  condition: string;
  since_ms: number;
}

export interface OutageView {
  outage_ms: number;
  ended_ms: number;
}

export interface CageView {
  cage: number;
  module: ModuleView | null;
  /** Why there is no module. */
  missing: string | null;
  since_ms: number | null;
  judgement: JudgementView | null;
  rx_power: ReadingView | null;
  tx_power: ReadingView | null;
  tx_bias: ReadingView | null;
  temperature: ReadingView | null;
  supply: ReadingView | null;
}

export interface ModuleView {
  vendor: string;
  part: string;
  serial: string;
  wavelength_nm: number;
  measures: boolean;
}

export interface JudgementView {
  state: OpticalState;
  since_ms: number | null;
  before: OpticalState | null;
  at_ms: number;
  limits: LimitsView;
}

export interface LimitsView {
  critical_below_dbm: number;
  weak_below_dbm: number;
  overload_above_dbm: number;
  own: boolean;
}

/** What came of a command. */
export interface CommandResultView {
  id: string;
  done: boolean;
  detail: string;
  at_ms: number;
}

/** A node's newest examination. */
export interface NodeExaminationView {
  node: string;
  examination: ExaminationView | null;
}

export interface ExaminationView {
  id: string | null;
  at_ms: number;
  age_s: number;
  verdict: string;
  version: string | null;
  took_ms: number | null;
  findings: FindingView[] | null;
  omitted: number | null;
}

/** A finding, in words of the language that was asked for. */
export interface FindingView {
  code: number;
  id: string;
  verdict: string;
  verdict_text: string;
  follows: string | null;
  parameters: Record<string, ParameterView>;
  what: string;
  why: string | null;
  act: string | null;
}

export type ParameterView = { kind: string; value: string | number };

/** The hub was restored from a backup. */
export interface RestoredView {
  at_ms: number;
  backup_ms: number | null;
}

export interface HubView {
  version: string;
  generation: string;
  uptime_s: number;
  sessions: number | null;
  database_bytes: number;
  snapshot_bytes: number;
  budget_bytes: number;
  free_bytes: number;
  days_left: number | null;
  aside_count: number;
  rollup_lag_batches: number;
  mqtt_ready: boolean;
  withholding: boolean;
  last_backup_ms: number | null;
  /** Set from a restore until the next backup. */
  restored: RestoredView | null;
  incoming_dropped: number;
  quarantined: string | null;
  /** Updates that wait for a person. */
  paused_rollouts: PausedRolloutView[];
}

export interface PausedRolloutView {
  number: number;
  /** Why, in the hub's words. */
  reason: string;
}

/** How many nodes of a rollout are where. */
export interface RolloutCountsView {
  planned: number;
  waiting: number;
  trial: number;
  confirmed: number;
  rolled_back: number;
  refused: number;
  silent: number;
  behind: number;
}

export interface RolloutView {
  number: number;
  part: string;
  version: string | null;
  state: string;
  reason: string;
  ring: number;
  rings: string;
  rings_total: number;
  nodes_total: number;
  counts: RolloutCountsView;
  made_ms: number;
  made_by: string;
}
