// A server that plays the hub for the browser tests: the built page, the API with what a test wants it to say, and the
// hub's content security policy. Loopback only, a free port.

import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { ExaminationView, Overview, RolloutView } from '../../src/api/model';
import { scene_png } from './scene';

const DIST = join(import.meta.dirname, '../../dist');
const TYPES: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** How the API behaves: as it should, accepting and never answering, failing, or asking for a token. */
export type Mood = 'well' | 'hangs' | 'fails' | 'garbled' | 'locked';

export class PlayedHub {
  mood: Mood = 'well';
  token = 'layar-1';
  overview: (now_ms: number) => Overview;
  posts: { path: string; body: unknown }[] = [];
  post_status = 204;
  /** The id that an order is answered with; empty: `post_status` alone. */
  order_id = '';
  /** The newest examination of every node, in words of a language. */
  examination: (language: string) => ExaminationView | null = () => null;
  /** Its updates. */
  rollouts: RolloutView[] = [];
  overviews_served = 0;
  /** Ids of the images that were fetched, in order. */
  looks: number[] = [];
  #server: Server;
  #streams = new Set<ServerResponse>();
  #shift_ms = 0;
  #started = Date.now();
  #heartbeat: NodeJS.Timeout;
  readonly #base_ms: number;

  private constructor(overview: (now_ms: number) => Overview, base_ms: number) {
    this.overview = overview;
    this.#base_ms = base_ms;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#heartbeat = setInterval(() => this.say('heartbeat'), 1_000);
  }

  static async start(overview: (now_ms: number) => Overview, base_ms: number): Promise<PlayedHub> {
    const hub = new PlayedHub(overview, base_ms);
    await new Promise<void>((resolve) => hub.#server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  now_ms(): number {
    return this.#base_ms + this.#shift_ms + Date.now() - this.#started;
  }

  /** Lets time pass at the hub. */
  pass(ms: number): void {
    this.#shift_ms += ms;
  }

  say(what: 'changed' | 'heartbeat'): void {
    if (this.mood !== 'well') return;
    const data = JSON.stringify({ type: what, now_ms: this.now_ms(), ...(what === 'changed' ? { nodes: [] } : {}) });
    for (const stream of this.#streams) stream.write(`event: ${what}\ndata: ${data}\n\n`);
  }

  cut_streams(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', this.url).pathname;
    response.setHeader('content-security-policy', POLICY);
    if (!path.startsWith('/api/')) return this.#file(path, response);
    if (this.mood === 'hangs') return;
    if (this.mood === 'fails') return void response.writeHead(503).end();
    const body = request.method === 'POST' ? await read_json(request) : null;
    if (request.method === 'POST') this.posts.push({ path, body });
    if (path === '/api/v1/session') {
      const right = (body as { token?: string }).token === this.token;
      if (right) this.mood = 'well';
      return void response.writeHead(right ? 204 : 401).end();
    }
    if (this.mood === 'locked') return void response.writeHead(401).end();
    if (path === '/api/v1/overview') {
      this.overviews_served += 1;
      const text = this.mood === 'garbled' ? '<html>proxy</html>' : JSON.stringify(this.overview(this.now_ms()));
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    }
    if (path === '/api/v1/live') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).write(':\n\n');
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
      this.say('heartbeat');
      return;
    }
    if (request.method === 'GET' && path.endsWith('/examination')) {
      const language = new URL(request.url ?? '/', this.url).searchParams.get('language') ?? '';
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ node: '', examination: this.examination(language) }));
    }
    if (path === '/api/v1/rollouts') {
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.rollouts));
    }
    const image = /^\/api\/v1\/snapshots\/(\d+)\/image$/.exec(path);
    if (image) {
      this.looks.push(Number(image[1]));
      return void response.writeHead(200, { 'content-type': 'image/png', 'cache-control': 'no-store' }).end(scene_png(Number(image[1])));
    }
    if (request.method === 'POST' && /\/(commands\/power-cycle|examination)$/.test(path) && this.order_id !== '') {
      return void response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ id: this.order_id, ttl_ms: 30_000, ...(body as object) }));
    }
    if (request.method === 'POST') return void response.writeHead(this.post_status).end();
    response.writeHead(404).end();
  }

  async #file(path: string, response: ServerResponse): Promise<void> {
    const file = join(DIST, normalize(path === '/' ? '/index.html' : path));
    try {
      const bytes = await readFile(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }
}

async function read_json(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return JSON.parse(text) as unknown;
}
