// A Chromium and a page in it that notes everything that went wrong.

import { chromium, type Browser, type Page, type ViewportSize } from 'playwright-core';
import type { Overview } from '../../src/api/model';
import { NOW_MS } from '../fixtures';
import { PlayedHub } from './hub';

export const WALL = { width: 1920, height: 1080 };
export const PHONE = { width: 390, height: 844 };
export const BIG_WALL = { width: 3840, height: 2160 };

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

export interface Screen {
  hub: PlayedHub;
  page: Page;
  /** Script errors, refusals by the content security policy, requests that leave the hub. */
  faults: string[];
  /** Lets time pass at the hub and on the screen. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface Wish {
  viewport?: ViewportSize;
  language?: 'id' | 'en';
  mood?: PlayedHub['mood'];
  /** The screen's timers are the test's: needed to let time pass. */
  own_time?: boolean;
}

export async function open_room(browser: Browser, overview: (now_ms: number) => Overview, wish: Wish = {}): Promise<Screen> {
  const hub = await PlayedHub.start(overview, NOW_MS);
  hub.mood = wish.mood ?? 'well';
  const context = await browser.newContext({ viewport: wish.viewport ?? WALL, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // What a test's hub refuses on purpose is logged by Chromium itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(hub.url)) faults.push(`left the hub: ${request.url()}`);
  });
  if (wish.language) await page.addInitScript((language) => localStorage.setItem('simpul.language', language), wish.language);
  if (wish.own_time) await page.clock.install();
  await page.goto(hub.url);
  if (hub.mood === 'well') {
    await page.waitForSelector('[data-freshness="fresh"] [data-state="connected"]', { timeout: 15_000 }).catch((error: unknown) => {
      throw new Error(`the page did not connect; it said: ${faults.join('; ')}`, { cause: error });
    });
  }
  return {
    hub,
    page,
    faults,
    async pass(ms) {
      hub.pass(ms);
      await page.clock.fastForward(ms);
    },
    async close() {
      await context.close();
      await hub.stop();
    },
  };
}

/** Waits until every image that the page wants is on the glass. */
export async function images_shown(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const wanted = [...document.querySelectorAll('[data-picture="current"], [data-picture="stale"]')];
    return wanted.every((figure) => figure.querySelector('img')?.complete);
  });
}
