// The demo's hands on a node's board: each button is the order that it says, and they are there in the demo alone.

import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BoardView, Overview } from '../../src/api/model';
import { board, node, three_nodes } from '../fixtures';
import { launch, open_room, PHONE, type Screen, type Wish } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const ID = '35.12.07.2003-01';

interface Scene {
  demo?: boolean;
  change?: Partial<BoardView>;
  counted?: () => number;
}

async function open_hand(scene: Scene = {}, wish: Wish = {}): Promise<Screen> {
  const made = (now: number): Overview => {
    const plain = node(ID, now, { board: { ...board(now), ...scene.change } });
    const streams = plain.streams.map((stream) => (stream.stream === 'service' && scene.counted ? { ...stream, have_records: scene.counted() } : stream));
    return { ...three_nodes(now), demo: scene.demo ?? true, nodes: [{ ...plain, streams }] };
  };
  const screen = await open_room(browser, made, wish);
  await screen.page.locator(`[data-node="${ID}"]`).getByRole('button', { name: wish.language === 'en' ? /^Details/ : /^Rincian/ }).click();
  return screen;
}

describe('hands on the board of the demo', () => {
  it('order what their buttons say, and show the count as it grows', async () => {
    let counted = 7;
    const { page, hub, faults, close } = await open_hand({ counted: () => counted });
    await page.getByText('Layanan tercatat di hub: 7').waitFor();
    const orders: [string, object][] = [
      ['Tekan loket 1', { action: 'press', desk: 1 }],
      ['Tekan loket 2', { action: 'press', desk: 2 }],
      ['Tahan loket 1', { action: 'long_press', desk: 1 }],
      ['Buka tutup', { action: 'open_lid' }],
      ['Matikan PLN', { action: 'mains_off' }],
      ['Redupkan cahaya', { action: 'fade_light' }],
      ['Pulihkan cahaya', { action: 'restore_light' }],
    ];
    for (const [name, order] of orders) {
      await page.getByRole('button', { name }).click();
      await expect.poll(() => hub.posts.at(-1)).toEqual({ path: '/api/v1/demo/board', body: { node: ID, ...order } });
    }
    counted = 8;
    hub.say('changed');
    await page.getByText('Layanan tercatat di hub: 8').waitFor();
    expect(faults).toEqual([]);
    await close();
  });

  it('close an open lid and bring the mains back', async () => {
    const { page, hub, close } = await open_hand({ change: { tamper: { open: true, since_ms: 0 }, power: { condition: 'battery', since_ms: 0 } } }, { language: 'en' });
    await page.getByRole('button', { name: 'Close the lid' }).click();
    await expect.poll(() => hub.posts.at(-1)?.body).toEqual({ node: ID, action: 'close_lid' });
    await page.getByRole('button', { name: 'Mains on' }).click();
    await expect.poll(() => hub.posts.at(-1)?.body).toEqual({ node: ID, action: 'mains_on' });
    await close();
  });

  it('say when the hub refuses', async () => {
    const { page, hub, close } = await open_hand();
    hub.post_status = 503;
    await page.getByRole('button', { name: 'Tekan loket 1' }).click();
    await page.locator('[data-part="board-hand"]').getByText('Ditolak hub').waitFor();
    await close();
  });

  it('are not there outside of the demo', async () => {
    const { page, close } = await open_hand({ demo: false });
    await page.locator('[data-part="board-panel"]').waitFor();
    expect(await page.locator('[data-part="board-hand"]').count()).toBe(0);
    await close();
  });

  it('fit on a phone and are accessible', async () => {
    const { page, close } = await open_hand({}, { viewport: PHONE });
    expect(await page.locator('dialog').evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth)).toBeLessThanOrEqual(0);
    await page.evaluate(axe.source);
    const found = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run('dialog'));
    expect(found.violations.map((violation) => violation.id)).toEqual([]);
    await close();
  });
});
