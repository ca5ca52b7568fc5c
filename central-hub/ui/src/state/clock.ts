// The room's time. The hub's clock is the only one that is shown; the screen's own clock only measures what passed.

/**
 * Milliseconds that passed on this machine, by whichever of its clocks says more: the monotonic one stops while the
 * machine sleeps, the wall clock can be set back. Erring forward makes data look older, never newer.
 */
export class Elapsed {
  #elapsed_ms = 0;
  #steady_ms: number;
  #wall_ms: number;

  constructor(steady_ms: number, wall_ms: number) {
    this.#steady_ms = steady_ms;
    this.#wall_ms = wall_ms;
  }

  read(steady_ms: number, wall_ms: number): number {
    const passed = Math.max(steady_ms - this.#steady_ms, wall_ms - this.#wall_ms, 0);
    this.#elapsed_ms += passed;
    this.#steady_ms = steady_ms;
    this.#wall_ms = wall_ms;
    return this.#elapsed_ms;
  }
}

/** The hub's time now, from an overview that said `now_ms` and was asked for at `overview_at`. */
export function hub_now_ms(now_ms: number, overview_at: number, now: number): number {
  return now_ms + Math.max(0, now - overview_at);
}
