// Rollouts of updates on the page: how far they are, and why one is paused, in both languages.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Overview, RolloutView } from '../../src/api/model';
import { three_nodes } from '../fixtures';
import { launch, open_room } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const REASON = '35.12.07.2003-01 of the first ring: rolled_back: no hub in 15 min';

const rollout: RolloutView = {
  number: 3,
  part: 'agent',
  version: '0.2.0',
  state: 'paused',
  reason: REASON,
  ring: 1,
  rings: '1,10,all',
  rings_total: 3,
  nodes_total: 14,
  counts: { planned: 11, waiting: 1, trial: 0, confirmed: 1, rolled_back: 1, refused: 0, silent: 0, behind: 0 },
  made_ms: 0,
  made_by: 'cli:agus',
};

const room = (now: number): Overview => {
  const overview = three_nodes(now);
  return { ...overview, hub: { ...overview.hub, paused_rollouts: [{ number: 3, reason: REASON }] } };
};

describe('updates', () => {
  it('are not spoken of where there never were any', async () => {
    const { page, faults, close } = await open_room(browser, three_nodes);
    await page.locator('#hub-title').waitFor();
    expect(await page.locator('[data-part="updates"]').count()).toBe(0);
    expect(faults).toEqual([]);
    await close();
  });

  it('show ring, counts and the reason of a pause, which is an alarm too', async () => {
    for (const [language, title, count] of [['id', 'Pembaruan', 'kembali ke yang lama 1'], ['en', 'Updates', 'rolled back 1']] as const) {
      const { page, hub, faults, close } = await open_room(browser, room, { language });
      hub.rollouts = [rollout];
      await page.reload();
      const part = page.locator('[data-part="updates"]');
      await part.getByRole('heading', { name: title }).waitFor();
      const text = await part.locator('[data-rollout="3"]').innerText();
      expect(text).toContain('0.2.0');
      expect(text).toContain('(1,10,all)');
      expect(text).toContain(count);
      expect(text).toContain(REASON);
      expect(await part.locator('[data-count="refused"]').count()).toBe(0);
      expect(await page.locator('[data-alert="rollout_paused"]').innerText()).toContain(`3: ${REASON}`);
      expect(faults).toEqual([]);
      await close();
    }
  });
});
