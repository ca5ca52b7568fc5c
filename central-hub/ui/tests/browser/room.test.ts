// Using the room: languages, the switch, signing in, many nodes, small screens, everyone's access.

import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { demo_nodes, many_nodes, never_heard, three_nodes } from '../fixtures';
import { images_shown, launch, open_room, PHONE } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

describe('languages', () => {
  it('Indonesian comes first; English is a press away and is remembered', async () => {
    const { page, close } = await open_room(browser, three_nodes);
    expect(await page.locator('html').getAttribute('lang')).toBe('id');
    expect(await page.locator('[data-figure="counted"] .value').innerText()).toBe('1.344');
    await page.getByRole('button', { name: 'English' }).click();
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    expect(await page.locator('[data-figure="counted"] .value').innerText()).toBe('1,344');
    expect(await page.locator('main').innerText()).not.toMatch(/Senyap|Terlambat|Menunggu|Kamera\b/);
    await page.reload();
    await page.getByText('Silent', { exact: true }).first().waitFor();
    await close();
  });
});

describe('the fibre switch', () => {
  it('asks the hub to cut and to join, and shows what the hub says', async () => {
    let cut = false;
    const { page, hub, close } = await open_room(browser, (now) => {
      const overview = demo_nodes(now);
      return { ...overview, nodes: overview.nodes.map((node, index) => (index === 0 ? { ...node, fibre_cut: cut } : node)) };
    });
    const card = page.locator('[data-node="35.12.07.2003-01"]');
    await card.getByRole('button', { name: 'Putus serat' }).click();
    await expect.poll(() => hub.posts).toEqual([{ path: '/api/v1/demo/fibre', body: { node: '35.12.07.2003-01', cut: true } }]);
    cut = true;
    hub.say('changed');
    await card.getByText('Serat putus').waitFor();
    await card.getByRole('button', { name: 'Sambung serat' }).press('Enter');
    await expect.poll(() => hub.posts.at(-1)?.body).toEqual({ node: '35.12.07.2003-01', cut: false });
    await close();
  });

  it('says when the hub refuses', async () => {
    const { page, hub, close } = await open_room(browser, demo_nodes);
    hub.post_status = 500;
    const card = page.locator('[data-node="35.12.07.2003-01"]');
    await card.getByRole('button', { name: 'Putus serat' }).click();
    await card.getByText('Ditolak hub').waitFor();
    await close();
  });

  it('is not there outside of the demo', async () => {
    const { page, close } = await open_room(browser, (now) => ({ ...demo_nodes(now), demo: false }));
    expect(await page.getByRole('button', { name: 'Putus serat' }).count()).toBe(0);
    await close();
  });
});

describe('signing in', () => {
  it('is asked for on 401, says when the token is wrong, and opens the room when it is right', async () => {
    const { page, hub, faults, close } = await open_room(browser, three_nodes, { mood: 'locked' });
    await page.getByLabel('Token').fill('salah');
    await page.getByRole('button', { name: 'Masuk' }).click();
    await page.getByText('Token tidak dikenal').waitFor();
    expect(await page.locator('[data-node]').count()).toBe(0);
    await page.getByLabel('Token').fill(hub.token);
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-freshness="fresh"]');
    expect(hub.posts.at(-1)).toEqual({ path: '/api/v1/session', body: { token: hub.token } });
    expect(faults).toEqual([]);
    await close();
  });
});

describe('the hub', () => {
  it('that withholds acknowledgements says so above everything else', async () => {
    const { page, close } = await open_room(browser, (now) => {
      const overview = three_nodes(now);
      return { ...overview, hub: { ...overview.hub, withholding: true } };
    });
    const warning = page.locator('[data-alert="withholding"]');
    expect(await warning.innerText()).toContain('penerimaan ditahan');
    const [warned, first] = [await warning.boundingBox(), await page.locator('[data-figure]').first().boundingBox()];
    expect(warned?.y).toBeLessThan(first?.y ?? 0);
    await close();
  });
});

describe('losses', () => {
  it('show count, reason and range on demand, by the keyboard alone', async () => {
    const { page, close } = await open_room(browser, three_nodes);
    const button = page.locator('[data-node="35.12.07.2006-01"]').getByRole('button', { name: 'Rincian' });
    await button.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    expect(await dialog.innerText()).toMatch(/Bacaan\s+1\.200\s+penyimpanan rusak\s+88001 – 89200/);
    expect(await dialog.innerText()).toMatch(/Gambar\s+19\s+dijarangkan di batas\s+1021 – 1039/);
    await page.keyboard.press('Escape');
    expect(await button.evaluate((element) => element === document.activeElement), 'focus comes back').toBe(true);
    await close();
  });
});

describe('150 nodes', () => {
  it('are all there, worst first, each with its state in words', async () => {
    const { page, faults, close } = await open_room(browser, (now) => many_nodes(150, now));
    expect(await page.locator('[data-group] [data-node]').count()).toBe(150);
    expect(await page.locator('[data-group]').evaluateAll((groups) => groups.map((group) => group.getAttribute('data-group')))).toEqual(['silent', 'late', 'never', 'live']);
    expect(await page.locator('[data-group="silent"] h3').innerText()).toMatch(/Senyap\s+5/);
    const button = page.locator('[data-group="silent"] [data-node]').first();
    expect(await button.getAttribute('data-node')).toBe('35.12.01.2008-01');
    expect(await button.innerText()).toContain('Senyap');
    await button.click();
    expect(await page.getByRole('dialog').innerText()).toContain('35.12.01.2008-01');
    expect(await page.locator('[data-camera]').count()).toBe(24);
    expect(faults).toEqual([]);
    await close();
  });

  it('come in within a quarter of a second of work a refresh', async () => {
    const { page, hub, close } = await open_room(browser, (now) => many_nodes(150, now));
    await images_shown(page);
    const served = hub.overviews_served;
    await page.evaluate(() => {
      const longest = { ms: 0 };
      Object.assign(window, { longest });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) longest.ms = Math.max(longest.ms, entry.duration);
      }).observe({ type: 'longtask' });
    });
    for (let round = 0; round < 3; round += 1) {
      hub.say('changed');
      await expect.poll(() => hub.overviews_served, { timeout: 5_000 }).toBeGreaterThan(served + round);
    }
    const longest = await page.evaluate(() => (window as unknown as { longest: { ms: number } }).longest.ms);
    expect(longest).toBeLessThan(250);
    await close();
  });
});

describe('screens', () => {
  const sizes = [PHONE, { width: 320, height: 640 }, { width: 820, height: 1180 }, { width: 1366, height: 768 }, { width: 1920, height: 1080 }];
  it.each(sizes)('$width x $height needs no sideways scrolling', async (viewport) => {
    for (const overview of [three_nodes, (now: number) => many_nodes(150, now)]) {
      const { page, close } = await open_room(browser, overview, { viewport });
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      expect(widths[0]).toBeLessThanOrEqual(widths[1] ?? 0);
      await close();
    }
  });

  it('three nodes fit on a wall of 1920x1080 without scrolling', async () => {
    const { page, close } = await open_room(browser, three_nodes);
    await images_shown(page);
    expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeLessThanOrEqual(1080);
    await close();
  });

  it.each(sizes)('$width x $height keeps every card inside its frame', async (viewport) => {
    const { page, close } = await open_room(browser, (now) => {
      const overview = three_nodes(now);
      return { ...overview, nodes: [...overview.nodes, never_heard('35.12.07.2004-01', now)] };
    }, { viewport });
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll('article')].flatMap((card) => {
        const right = card.getBoundingClientRect().right;
        return [...card.querySelectorAll('*:not(.hidden-text):not(.detail)')].filter((part) => part.getBoundingClientRect().right > right + 0.5).map((part) => `${card.dataset['node']}: ${part.textContent}`);
      }),
    );
    expect(outside).toEqual([]);
    await close();
  });

  it('an update moves nothing', async () => {
    const { page, hub, close } = await open_room(browser, three_nodes);
    await images_shown(page);
    await page.evaluate(() => {
      const shift = { sum: 0 };
      Object.assign(window, { shift });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) shift.sum += (entry as unknown as { value: number }).value;
      }).observe({ type: 'layout-shift' });
    });
    const served = hub.overviews_served;
    for (let round = 0; round < 3; round += 1) {
      hub.say('changed');
      await expect.poll(() => hub.overviews_served, { timeout: 5_000 }).toBeGreaterThan(served + round);
    }
    expect(await page.evaluate(() => (window as unknown as { shift: { sum: number } }).shift.sum)).toBe(0);
    await close();
  });
});

describe('axe finds nothing to mend', () => {
  const CASES = [
    { name: 'three nodes in Indonesian', language: 'id', overview: three_nodes, viewport: { width: 1920, height: 1080 }, details: false, old: false },
    { name: 'three nodes in English', language: 'en', overview: three_nodes, viewport: { width: 1920, height: 1080 }, details: false, old: false },
    { name: 'old data in Indonesian', language: 'id', overview: three_nodes, viewport: { width: 1920, height: 1080 }, details: false, old: true },
    { name: 'the details of a node in English', language: 'en', overview: three_nodes, viewport: PHONE, details: true, old: false },
    { name: '150 nodes in Indonesian', language: 'id', overview: (now: number) => many_nodes(150, now), viewport: { width: 1366, height: 768 }, details: false, old: false },
    { name: '150 nodes on a phone in English', language: 'en', overview: (now: number) => many_nodes(150, now), viewport: PHONE, details: false, old: false },
  ] as const;

  it.each(CASES)('$name', async ({ language, overview, viewport, details, old }) => {
    const screen = await open_room(browser, overview, { language, viewport, own_time: old });
    if (details) await screen.page.getByRole('button', { name: /^Details/ }).last().click();
    if (old) {
      screen.hub.mood = 'hangs';
      await screen.pass(20_000);
      await screen.page.waitForSelector('[data-freshness="old"]');
    }
    expect(await violations(screen.page)).toEqual([]);
    await screen.close();
  });

  it('signing in', async () => {
    const screen = await open_room(browser, three_nodes, { mood: 'locked' });
    await screen.page.getByLabel('Token').waitFor();
    expect(await violations(screen.page)).toEqual([]);
    await screen.close();
  });
});

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const result = await (window as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ['violations'] });
    return result.violations.map((each) => `${each.id}: ${each.nodes.map((place) => `${place.target.join(' ')} ${place.failureSummary ?? ''}`).slice(0, 3).join(' | ')}`);
  });
}
