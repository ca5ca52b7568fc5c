// The examination in a node's details: ordered, awaited, read from its cause on, in both languages.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExaminationView, FindingView, Overview } from '../../src/api/model';
import { node, NOW_MS, three_nodes } from '../fixtures';
import { launch, open_room } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const ID = '35.12.07.2003-01';
const ORDER = 'ab'.repeat(16);

const room = (now: number): Overview => ({ ...three_nodes(now), nodes: [node(ID, now, { connected: true })] });

function finding(id: string, verdict: string, what: string, change: Partial<FindingView> = {}): FindingView {
  return { code: 1, id, verdict, verdict_text: verdict.toUpperCase(), follows: null, parameters: {}, what, why: `${id} why`, act: `${id} act`, ...change };
}

function examined(language: string, change: Partial<ExaminationView> = {}): ExaminationView {
  const findings = [
    finding('network.no_route', 'fail', `${language}: no route`),
    finding('hub.backlog', 'warn', `${language}: backlog`, { follows: 'network.no_route' }),
    finding('storage.good', 'ok', `${language}: card`, { why: null, act: null }),
  ];
  return { id: ORDER, at_ms: NOW_MS, age_s: 0, verdict: 'fail', version: '0.1.0', took_ms: 900, findings, omitted: 0, ...change };
}

describe('an examination', () => {
  it('is ordered, awaited and shown from its cause on', async () => {
    const { page, hub, faults, close } = await open_room(browser, room);
    hub.order_id = ORDER;
    await page.locator(`[data-node="${ID}"]`).getByRole('button', { name: /^Rincian/ }).click();
    const part = page.locator('[data-part="examination"]');
    await part.getByText('Belum pernah diperiksa').waitFor();
    await part.getByRole('button', { name: 'Periksa sekarang' }).click();
    await part.getByText('Simpul sedang memeriksa dirinya').waitFor();
    expect(hub.posts).toEqual([{ path: `/api/v1/nodes/${ID}/examination`, body: {} }]);
    hub.examination = examined;
    await part.getByText('id: no route').waitFor();
    const lines = await part.locator('li').allInnerTexts();
    expect(lines[0]).toContain('Tindakan: network.no_route act');
    expect(lines[1]).toContain('Mungkin akibat dari: network.no_route');
    expect(lines[1]).not.toContain('hub.backlog act');
    expect(await part.getByText('Simpul sedang memeriksa dirinya').count()).toBe(0);
    await part.getByText('Baik atau tidak ada: 1').click();
    await part.getByText('id: card').waitFor();
    expect(faults).toEqual([]);
    await close();
  });

  it('comes in English where the page does, and says when it cannot be read', async () => {
    const { page, hub, close } = await open_room(browser, room, { language: 'en' });
    hub.examination = (language) => examined(language, { findings: null, omitted: null });
    await page.locator(`[data-node="${ID}"]`).getByRole('button', { name: /^Details/ }).click();
    const part = page.locator('[data-part="examination"]');
    await part.getByText('The node is newer than this hub').waitFor();
    hub.post_status = 409;
    await part.getByRole('button', { name: 'Examine now' }).click();
    await part.getByText('The node is not connected: nothing was sent').waitFor();
    await close();
  });
});
