// Promise 5 on the glass: what is fresh, old, unknown and simulated each look like what they are.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { camera, demo_nodes, node, service, stream, three_nodes } from '../fixtures';
import { images_shown, launch, open_room } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const STRIP = '[data-part="data-strip"]';

describe('fresh and old data', () => {
  it('fresh data carry their time, their age and the state of the connection', async () => {
    const { page, faults, close } = await open_room(browser, three_nodes);
    expect(await page.locator(STRIP).innerText()).toMatch(/Data per 09:41:\d\d WIB\s+\d+ dtk lalu\s+Tersambung ke hub/);
    expect(await page.locator('[data-part="clock"]').innerText()).toMatch(/^09:41:\d\d$/);
    expect(await page.title()).toBe('Kabupaten Situbondo');
    expect(faults).toEqual([]);
    await close();
  });

  it('a hub that stops answering turns the whole page old and grey, and back when it answers again', async () => {
    const screen = await open_room(browser, three_nodes, { own_time: true });
    const { page, hub } = screen;
    const figure = page.locator('[data-figure="counted"] .value');
    const colour = (): Promise<string> => figure.evaluate((element) => getComputedStyle(element).color);
    const fresh_colour = await colour();
    const before = await page.locator('[data-figure="nodes-live"]').boundingBox();

    hub.mood = 'hangs';
    await screen.pass(14_000);
    await page.waitForTimeout(50);
    expect(await page.locator('[data-freshness="old"]').count()).toBe(0);
    await screen.pass(3_000);
    await page.waitForSelector('[data-freshness="old"]');
    expect(await page.locator(STRIP).innerText()).toMatch(/DATA LAMA\s+Data dari pukul 09:41:\d\d WIB, \d+ dtk lalu/);
    expect(await page.title()).toMatch(/^DATA LAMA 09:41:\d\d – /);
    expect(await figure.innerText()).toBe('1.344');
    expect(await colour()).not.toBe(fresh_colour);
    const [red, green, blue] = ((await colour()).match(/\d+/g) ?? []).map(Number);
    expect(Math.max(red ?? 0, green ?? 0, blue ?? 0)).toBeLessThan(190);
    expect(await page.locator('[data-figure="nodes-live"]').boundingBox(), 'nothing moved').toEqual(before);
    expect(await page.locator('[aria-live]').innerText()).toContain('sudah lama');

    hub.mood = 'well';
    hub.cut_streams();
    await screen.pass(15_000);
    await page.waitForSelector('[data-freshness="fresh"]');
    expect(await colour()).toBe(fresh_colour);
    await screen.close();
  });

  it.each(['fails', 'garbled'] as const)('a hub that %s makes the data old, although its page was loaded', async (mood) => {
    const screen = await open_room(browser, three_nodes, { own_time: true });
    screen.hub.mood = mood;
    screen.hub.cut_streams();
    for (let passed = 0; passed < 20; passed += 1) {
      await screen.pass(1_000);
      await screen.page.waitForTimeout(20);
    }
    await screen.page.waitForSelector('[data-freshness="old"]');
    expect(await screen.page.locator('.connection').innerText()).toMatch(/Hub menolak menjawab|Jawaban hub tidak dapat dibaca|Hub diam/);
    await screen.close();
  });

  it('a hub that never answered shows no figure at all', async () => {
    const { page, close } = await open_room(browser, three_nodes, { mood: 'fails' });
    await page.getByText('Hub menolak menjawab').first().waitFor();
    expect(await page.locator('main').innerText()).toContain('Belum ada data.');
    expect(await page.locator('[data-figure]').count()).toBe(0);
    await close();
  });
});

describe('unknown and zero', () => {
  it('a service with a count of 0 shows 0, a village without data says so', async () => {
    const { page, close } = await open_room(browser, (now) => {
      const overview = three_nodes(now);
      const [first, second, third] = overview.nodes;
      if (!first || !second || !third) throw new Error('three nodes');
      return { ...overview, services: [service('ktp', first, now, { counted: 0, visits_served: 0, visits_other: 0 })] };
    });
    expect(await page.locator('[data-services="real"] [data-village] [data-cell="counted"]').innerText()).toBe('0');
    expect(await page.locator('[data-figure="counted"] .value').innerText()).toBe('0');
    expect(await page.locator('[data-part="without-data"]').innerText()).toMatch(/Belum ada data dari 2 desa:\s*Olean, Talkandang/);
    await close();
  });

  it('no data at all is a dash and words, never 0', async () => {
    const { page, close } = await open_room(browser, (now) => ({ ...three_nodes(now), services: [] }));
    for (const name of ['counted', 'visits']) {
      expect(await page.locator(`[data-figure="${name}"] .value`).innerText()).toMatch(/^–/);
      expect(await page.locator(`[data-figure="${name}"] .note`).innerText()).toBe('Belum ada data');
    }
    expect(await page.locator('[data-services="real"]').innerText()).toContain('Belum ada data');
    await close();
  });

  it('a backlog that the node never reported is a dash, one of 0 is 0', async () => {
    const { page, close } = await open_room(browser, (now) => ({
      ...three_nodes(now),
      nodes: [
        node('35.12.07.2003-01', now, { streams: [stream('service', { backlog_records: null, backlog_bytes: null, limit_bytes: null }), stream('event')] }),
        node('35.12.07.2005-01', now, { liveness: 'never', last_heard_ms: null, age_s: null, version: null, epoch: null, epoch_count: 0, streams: [stream('service', { backlog_records: null, backlog_bytes: null, limit_bytes: null })], cameras: [camera('35.12.07.2005-01', 1, now, { condition: null, snapshot: null })] }),
      ],
    }));
    const first = page.locator('[data-node="35.12.07.2003-01"]');
    expect(await first.locator('[data-stream="service"] [data-cell="waiting"]').innerText()).toMatch(/^–/);
    expect(await first.locator('[data-stream="event"] [data-cell="waiting"]').innerText()).toBe('0');
    const second = await page.locator('[data-node="35.12.07.2005-01"]').innerText();
    expect(second).toContain('tanpa kabar');
    expect(await page.locator('[data-node="35.12.07.2005-01"] [data-cell="lost"]').innerText()).toMatch(/^–/);
    expect(await first.locator('[data-stream="event"] [data-cell="lost"]').innerText()).toBe('0');
    expect(second).toContain('agen belum diketahui');
    expect(await page.locator('[data-figure="backlog"] .note').innerText()).toContain('tak diketahui di 1 simpul');
    expect(await page.locator('[data-camera="35.12.07.2005-01/depan"]').innerText()).toContain('Belum ada gambar');
    await close();
  });

  it('the backlog of a node that went quiet is marked as its last word', async () => {
    const { page, close } = await open_room(browser, (now) => ({
      ...three_nodes(now),
      nodes: [node('35.12.07.2003-01', now), node('35.12.07.2004-01', now, { liveness: 'silent' })],
    }));
    const [live, silent] = ['35.12.07.2003-01', '35.12.07.2004-01'].map((id) => page.locator(`[data-node="${id}"] [data-part="last-word"]`));
    expect(await silent?.innerText()).toBe('kata terakhir');
    expect(await live?.count()).toBe(0);
    expect(await page.locator('[data-figure="backlog"] .note').innerText()).toContain('tak diketahui di 1 simpul');
    await close();
  });

  it('a missing reading shows its reason and a reading of 0 shows 0', async () => {
    const { page, close } = await open_room(browser, three_nodes);
    await page.locator('[data-node="35.12.07.2006-01"]').getByRole('button', { name: 'Rincian' }).click();
    expect(await page.locator('[data-metric="optics.0.rx_power"]').innerText()).toContain('tidak ada cahaya');
    expect(await page.locator('[data-metric="card_free"]').innerText()).toMatch(/\s0 B\s/);
    expect(await page.locator('[data-metric="temperature"]').innerText()).toContain('−1,5 °C');
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await close();
  });

  it('unknown figures of the hub are dashes', async () => {
    const { page, close } = await open_room(browser, (now) => {
      const overview = three_nodes(now);
      return { ...overview, hub: { ...overview.hub, days_left: null, sessions: null, last_backup_ms: null } };
    });
    expect(await page.locator('[data-fact="days-left"] dd').innerText()).toMatch(/^–/);
    expect(await page.locator('[data-fact="sessions"] dd').innerText()).toMatch(/^–/);
    expect(await page.locator('[data-fact="backup"] dd').innerText()).toContain('belum pernah');
    await close();
  });
});

describe('images', () => {
  it('current, faded, taken off and each trouble of a camera are told apart', async () => {
    const troubles = { frozen: 'Gambar beku', black: 'Gambar hitam', unreachable: 'Kamera tidak menjawab', view_changed: 'Arah kamera berubah' };
    const { page, faults, close } = await open_room(browser, (now) => {
      const cameras = [
        camera('n-01', 1, now, { camera: 'baru' }),
        camera('n-01', 2, now, { camera: 'lama', age_s: 400 }),
        camera('n-01', 3, now, { camera: 'usang', age_s: 4_000 }),
        ...Object.keys(troubles).map((condition, index) => camera('n-01', 4 + index, now, { camera: condition, condition })),
      ];
      return { ...three_nodes(now), nodes: [node('n-01', now, { name: 'Balai', cameras })] };
    });
    await images_shown(page);
    const tile = (name: string) => page.locator(`[data-camera="n-01/${name}"]`);
    expect(await tile('baru').getAttribute('data-picture')).toBe('current');
    expect(await tile('baru').locator('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(640);
    expect(await tile('lama').innerText()).toMatch(/Lama · 6 mnt/);
    expect(await tile('lama').locator('img').evaluate((image) => getComputedStyle(image.parentElement ?? image).filter)).toContain('grayscale');
    expect(await tile('usang').innerText()).toMatch(/Gambar terlalu lama\s+Terakhir 08:34, 1 jam 6 mnt lalu/);
    expect(await tile('usang').locator('img').count()).toBe(0);
    const signs = new Set<string>();
    for (const [condition, words] of Object.entries(troubles)) {
      expect(await tile(condition).innerText()).toContain(words);
      expect(await tile(condition).locator('img').count()).toBe(0);
      signs.add(await tile(condition).locator('.sign').innerHTML());
    }
    expect(signs.size, 'each trouble has a sign of its own').toBe(4);
    expect(faults).toEqual([]);
    await close();
  });

  it('the next image replaces the last without a blank between', async () => {
    let id = 10;
    const { page, hub, close } = await open_room(browser, (now) => ({ ...three_nodes(now), nodes: [node('n-01', now, { cameras: [camera('n-01', id, now)] })] }));
    await images_shown(page);
    await page.evaluate(() => {
      const glass = document.querySelector('.glass');
      if (!glass) throw new Error('no camera');
      new MutationObserver(() => {
        if (!glass.querySelector('img')) document.body.dataset['blanked'] = 'yes';
      }).observe(glass, { childList: true, subtree: true });
    });
    id = 11;
    hub.say('changed');
    await page.waitForSelector('img[src="/api/v1/snapshots/11/image"]');
    for (const each of [10, 11]) expect(hub.looks.filter((look) => look === each), 'the hub logs every look').toHaveLength(1);
    expect(await page.locator('body').getAttribute('data-blanked')).toBeNull();
    await close();
  });
});

describe('SIMULASI', () => {
  it('simulated rows stand apart and never enter a real sum', async () => {
    const { page, close } = await open_room(browser, three_nodes);
    expect(await page.locator('[data-services="simulated"]').innerText()).toContain('SIMULASI');
    expect(await page.locator('[data-services="real"]').innerText()).not.toContain('SIMULASI');
    expect(await page.locator('[data-services="real"] [data-service="ktp"] .sum td').first().innerText()).toBe('1.327');
    expect(await page.locator('[data-services="simulated"] [data-service="ktp"] .sum td').first().innerText()).toBe('64');
    expect(await page.locator('[data-figure="counted"] .value').innerText()).toBe('1.344');
    expect(await page.locator('[data-figure="counted"] .note').innerText()).toMatch(/SIMULASI\s+86/);
    await close();
  });

  it('simulated images are stamped, and a room with nothing but a simulator has no real figure', async () => {
    const { page, close } = await open_room(browser, demo_nodes);
    await images_shown(page);
    expect(await page.locator('[data-camera] >> text=SIMULASI').count()).toBe(3);
    expect(await page.locator('[data-figure="visits"] .value').innerText()).toMatch(/^–/);
    await close();
  });
});
