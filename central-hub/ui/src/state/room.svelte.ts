// The room's one piece of changing state: drives the link, holds the time, and offers what components read.

import { fetch_overview, open_stream } from '../api/client';
import { new_link, step, type Link, type LinkAction, type LinkEvent } from '../api/link';
import type { Liveness, Overview } from '../api/model';
import { announcements, type Announcement } from './announce';
import { Elapsed, hub_now_ms } from './clock';
import { freshness, type Freshness } from './freshness';

/** Twice a second: the clock's seconds never seem to stick, and an age is never a second behind. */
const TICK_MS = 500;

export class Room {
  #elapsed = new Elapsed(performance.now(), Date.now());
  #close_stream: (() => void) | null = null;
  #before: { freshness: Freshness['kind']; liveness: Map<string, Liveness> } = { freshness: 'waiting', liveness: new Map() };

  link: Link = $state.raw(new_link(0));
  /** Milliseconds since the page was opened. */
  now: number = $state(0);
  said: Announcement[] = $state.raw([]);

  freshness: Freshness = $derived(freshness(this.link, this.now));
  overview: Overview | null = $derived(this.link.overview);
  /** The hub's time now; null before the first overview. */
  now_ms: number | null = $derived(
    this.link.overview === null ? null : hub_now_ms(this.link.overview.now_ms, this.link.overview_at ?? 0, this.now),
  );

  start(): () => void {
    this.dispatch({ type: 'tick' });
    const timer = setInterval(() => this.dispatch({ type: 'tick' }), TICK_MS);
    const wake = (): void => this.dispatch({ type: 'tick' });
    document.addEventListener('visibilitychange', wake);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', wake);
      this.#close_stream?.();
    };
  }

  dispatch(event: LinkEvent): void {
    const now = this.#elapsed.read(performance.now(), Date.now());
    const { link, actions } = step(this.link, now, event, Math.random());
    this.now = now;
    this.link = link;
    this.#announce();
    for (const action of actions) this.#act(action);
  }

  #act(action: LinkAction): void {
    switch (action) {
      case 'fetch_overview':
        void fetch_overview().then((fetched) =>
          this.dispatch(
            'overview' in fetched
              ? { type: 'overview_came', overview: fetched.overview }
              : { type: 'overview_failed', failure: fetched.failure },
          ),
        );
        break;
      case 'open_stream':
        this.#close_stream?.();
        this.#close_stream = open_stream({
          opened: () => this.dispatch({ type: 'stream_opened' }),
          said: (what) => this.dispatch({ type: 'stream_said', what }),
          failed: () => this.dispatch({ type: 'stream_failed' }),
        });
        break;
      case 'close_stream':
        this.#close_stream?.();
        this.#close_stream = null;
        break;
    }
  }

  #announce(): void {
    const nodes = this.link.overview?.nodes ?? [];
    const kind = freshness(this.link, this.now).kind;
    const said = announcements(this.#before, kind, nodes);
    this.#before = { freshness: kind, liveness: new Map(nodes.map((node) => [node.id, node.liveness])) };
    if (said.length > 0) this.said = said;
  }
}
