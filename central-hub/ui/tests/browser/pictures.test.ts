// Pictures for people to look at, in test-results/: the walls, the phone, many nodes, old data.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { demo_nodes, many_nodes, three_nodes } from '../fixtures';
import { BIG_WALL, images_shown, launch, open_room, PHONE, WALL } from './screen';

const FOLDER = join(import.meta.dirname, '../../test-results');
let browser: Browser;
beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  browser = await launch();
});
afterAll(() => browser.close());

const VIEWS = [
  { name: 'wall-1920x1080', overview: three_nodes, viewport: WALL, whole: false },
  { name: 'wall-1920x1080-demo', overview: demo_nodes, viewport: WALL, whole: false },
  { name: 'wall-1920x1080-many', overview: (now: number) => many_nodes(150, now), viewport: WALL, whole: false },
  { name: 'wall-3840x2160', overview: three_nodes, viewport: BIG_WALL, whole: false },
  { name: 'phone-390x844', overview: three_nodes, viewport: PHONE, whole: true },
  { name: 'phone-390x844-many', overview: (now: number) => many_nodes(150, now), viewport: PHONE, whole: true },
  { name: 'desk-1366x768', overview: three_nodes, viewport: { width: 1366, height: 768 }, whole: true },
];

it.each(VIEWS)('$name is drawn', async ({ name, overview, viewport, whole }) => {
  const screen = await open_room(browser, overview, { viewport });
  await images_shown(screen.page);
  await screen.page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage: whole });
  expect(screen.faults).toEqual([]);
  await screen.close();
});

it('old data are drawn as old', async () => {
  const screen = await open_room(browser, three_nodes, { own_time: true });
  await images_shown(screen.page);
  screen.hub.mood = 'hangs';
  await screen.pass(95_000);
  await screen.page.waitForSelector('[data-freshness="old"]');
  await screen.page.screenshot({ path: join(FOLDER, 'wall-1920x1080-old.png') });
  await screen.close();
});

const DETAILS = [
  { name: 'wall-1920x1080-details', language: 'en', id: '35.12.07.2006-01', viewport: WALL },
  { name: 'wall-1920x1080-board', language: 'id', id: '35.12.07.2003-01', viewport: WALL },
  { name: 'wall-1920x1080-board-stale', language: 'id', id: '35.12.07.2005-01', viewport: WALL },
  { name: 'phone-390x844-board', language: 'id', id: '35.12.07.2006-01', viewport: PHONE },
] as const;

it.each(DETAILS)('$name is drawn', async ({ name, language, id, viewport }) => {
  const screen = await open_room(browser, three_nodes, { language, viewport });
  await screen.page.locator(`[data-node="${id}"]`).getByRole('button', { name: /^(Details|Rincian)/ }).click();
  await screen.page.screenshot({ path: join(FOLDER, `${name}.png`) });
  expect(screen.faults).toEqual([]);
  await screen.close();
});
