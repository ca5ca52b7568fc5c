// Whether an image may be shown, and as what. Time is an argument.

import type { CameraView, NodeView } from '../api/model';

/** Older than this, an image is faded. */
export const IMAGE_STALE_MS = 5 * 60_000;
/** Of a node that stopped speaking, an image older than this many of its intervals is faded, too. */
export const IMAGE_STALE_INTERVALS = 3;
/** Older than this, an image says nothing about now: it is taken off the wall. */
export const IMAGE_TOO_OLD_MS = 30 * 60_000;

/** So many cameras are on the wall at first: each is a whole image to fetch, and more is a click away. */
export const SEATS_MAX = 24;

export type CameraTrouble = 'unreachable' | 'unauthorized' | 'bad_image' | 'frozen' | 'black' | 'view_changed' | 'other';

const TROUBLES: readonly string[] = ['unreachable', 'unauthorized', 'bad_image', 'frozen', 'black', 'view_changed'];

export type Picture =
  | { kind: 'none' }
  | { kind: 'trouble'; trouble: CameraTrouble }
  | { kind: 'too_old' }
  | { kind: 'stale' }
  | { kind: 'current' };

export function picture(camera: CameraView, node: NodeView, now_ms: number): Picture {
  if (camera.condition !== null && camera.condition !== 'good') {
    const trouble = TROUBLES.includes(camera.condition) ? (camera.condition as CameraTrouble) : 'other';
    return { kind: 'trouble', trouble };
  }
  if (camera.snapshot === null) return { kind: 'none' };
  const age_ms = now_ms - camera.snapshot.at_ms;
  if (age_ms > IMAGE_TOO_OLD_MS) return { kind: 'too_old' };
  if (age_ms > IMAGE_STALE_MS) return { kind: 'stale' };
  const quiet = node.liveness !== 'live' && node.interval_s !== null;
  if (quiet && age_ms > IMAGE_STALE_INTERVALS * (node.interval_s ?? 0) * 1_000) return { kind: 'stale' };
  return { kind: 'current' };
}

export interface Seat {
  node: NodeView;
  camera: CameraView;
}

/** Cameras that show something come first; within that each keeps its place, so that the wall does not shuffle. */
export function arrange_cameras(nodes: readonly NodeView[], now_ms: number): Seat[] {
  const seats = nodes.flatMap((node) => node.cameras.map((camera) => ({ node, camera })));
  const shows = (seat: Seat): number => {
    const kind = picture(seat.camera, seat.node, now_ms).kind;
    return kind === 'current' || kind === 'stale' ? 0 : 1;
  };
  const name = (seat: Seat): string => `${seat.node.id}/${seat.camera.camera}`;
  return seats
    .map((seat) => ({ seat, shows: shows(seat), name: name(seat) }))
    .sort((a, b) => a.shows - b.shows || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map((ranked) => ranked.seat);
}
