// The hub's API over HTTP: the only place that knows paths and status codes.

import type { Failure } from './link';
import type { ExaminationView, Overview, RolloutView } from './model';
import { parse_examination, parse_overview, parse_rollouts } from './parse';

/** A hub that has not answered by then is not answering: the wall must say so within its 15 s. */
const FETCH_TIMEOUT_MS = 8_000;

export type Fetched = { overview: Overview } | { failure: Failure };

export async function fetch_overview(): Promise<Fetched> {
  try {
    const response = await fetch('/api/v1/overview', { cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (response.status === 401) return { failure: 'unauthorized' };
    if (!response.ok) return { failure: 'refused' };
    const text = await response.text();
    const overview = parse_json(text);
    return overview === null ? { failure: 'bad_answer' } : { overview };
  } catch {
    return { failure: 'unreachable' };
  }
}

function parse_json(text: string): Overview | null {
  try {
    return parse_overview(JSON.parse(text));
  } catch {
    return null;
  }
}

export interface StreamHandler {
  opened(): void;
  said(what: 'changed' | 'heartbeat'): void;
  failed(): void;
}

/** Opens the live stream; returns what closes it. After `failed` it stays closed: reconnecting is the caller's. */
export function open_stream(handler: StreamHandler): () => void {
  const source = new EventSource('/api/v1/live');
  source.addEventListener('open', () => handler.opened());
  source.addEventListener('changed', () => handler.said('changed'));
  source.addEventListener('heartbeat', () => handler.said('heartbeat'));
  source.addEventListener('error', () => {
    source.close();
    handler.failed();
  });
  return () => source.close();
}

export type Sent = 'done' | 'unauthorized' | 'refused' | 'unreachable';

function post_json(path: string, body: unknown): Promise<Response> {
  return fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });
}

async function post(path: string, body: unknown): Promise<Sent> {
  try {
    const response = await post_json(path, body);
    if (response.ok) return 'done';
    return response.status === 401 ? 'unauthorized' : 'refused';
  } catch {
    return 'unreachable';
  }
}

export function cut_fibre(node: string, cut: boolean): Promise<Sent> {
  return post('/api/v1/demo/fibre', { node, cut });
}

export type BoardAction = 'press' | 'long_press' | 'open_lid' | 'close_lid' | 'mains_off' | 'mains_on' | 'fade_light' | 'restore_light';

/** Does something to the demo's board; `desk` (from 1) for presses only. */
export function order_board(node: string, action: BoardAction, desk?: number): Promise<Sent> {
  return post('/api/v1/demo/board', desk === undefined ? { node, action } : { node, action, desk });
}

/** A sent order's id, or why nothing was sent. */
export type Ordered = { id: string } | { failure: 'offline' | 'unauthorized' | 'refused' | 'unreachable' };

/** Switches what hangs on a node's relay off and on again. The result comes with the overview, under the same id. */
export function order_power_cycle(node: string, off_ms: number): Promise<Ordered> {
  return order(`/api/v1/nodes/${encodeURIComponent(node)}/commands/power-cycle`, { off_ms });
}

/** Lets a node examine itself. What it finds is its newest examination, under the same id. */
export function order_examination(node: string): Promise<Ordered> {
  return order(`/api/v1/nodes/${encodeURIComponent(node)}/examination`, {});
}

/** A node's newest examination in words of this language: null if there is none, undefined if it could not be asked for. */
export async function fetch_examination(node: string, language: string): Promise<ExaminationView | null | undefined> {
  try {
    const path = `/api/v1/nodes/${encodeURIComponent(node)}/examination?language=${language}`;
    const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    return response.ok ? parse_examination(await response.json()) : undefined;
  } catch {
    return undefined;
  }
}

/** The newest rollouts of updates; undefined: they could not be read. */
export async function fetch_rollouts(): Promise<RolloutView[] | undefined> {
  try {
    const response = await fetch('/api/v1/rollouts', { cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    return response.ok ? parse_rollouts(await response.json()) : undefined;
  } catch {
    return undefined;
  }
}

async function order(path: string, body: unknown): Promise<Ordered> {
  try {
    const response = await post_json(path, body);
    if (response.status === 401) return { failure: 'unauthorized' };
    if (response.status === 409) return { failure: 'offline' };
    if (!response.ok) return { failure: 'refused' };
    const { id } = (await response.json()) as { id?: unknown };
    return typeof id === 'string' ? { id } : { failure: 'refused' };
  } catch {
    return { failure: 'unreachable' };
  }
}

export function sign_in(token: string): Promise<Sent> {
  return post('/api/v1/session', { token });
}

export function image_path(snapshot_id: number): string {
  return `/api/v1/snapshots/${snapshot_id}/image`;
}
