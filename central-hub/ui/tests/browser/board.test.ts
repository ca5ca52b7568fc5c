// The I/O board on the glass: what is wrong and why, what is stale, where counts come from, and an order to its relay.

import axe from 'axe-core';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BoardView, NodeView, Overview } from '../../src/api/model';
import { aged, board, cage, empty_cage, node, service, three_nodes } from '../fixtures';
import { launch, open_room, PHONE, type Screen, type Wish } from './screen';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const ID = '35.12.07.2003-01';

function with_board(made: (now_ms: number) => BoardView | null, change: Partial<NodeView> = {}): (now_ms: number) => Overview {
  return (now) => ({ ...three_nodes(now), nodes: [node(ID, now, { name: 'Balai Desa Sumberkolak', village_name: 'Sumberkolak', board: made(now), ...change })] });
}

async function open_details(made: (now_ms: number) => BoardView | null, wish: Wish = {}, change: Partial<NodeView> = {}): Promise<Screen & { panel: Locator }> {
  const screen = await open_room(browser, with_board(made, change), wish);
  await screen.page.locator(`[data-node="${ID}"]`).getByRole('button', { name: wish.language === 'en' ? /^Details/ : /^Rincian/ }).click();
  return { ...screen, panel: screen.page.locator('[data-part="board-panel"]') };
}

const line = (page: Page): Locator => page.locator(`[data-node="${ID}"] [data-part="board"]`);

describe('a board that is well', () => {
  it('says so on its card with source of power, light and its age', async () => {
    const { page, faults, close } = await open_room(browser, with_board(board));
    expect(await line(page).innerText()).toMatch(/Papan baik\s+PLN\s+−19,32 dBm\s+\d+ dtk/);
    expect(faults).toEqual([]);
    await close();
  });

  it('shows every number with unit, comma and age, and its facts', async () => {
    const { panel, faults, close } = await open_details(board);
    const text = (await panel.innerText()).replace(/\s+/g, ' ');
    for (const part of [/12,08 V \d+ dtk/, /12,91 V \d+ dtk/, /−19,32 dBm \d+ dtk/, /2,41 dBm \d+ dtk/, /11,6 mA \d+ dtk/, /44,25 °C \d+ dtk/, /3,28 V \d+ dtk/]) expect(text).toMatch(part);
    for (const part of ['Papan baik', 'Cahaya baik', 'tertutup', 'daya datang', 'mulai ke-7', '0.1.0 pico', 'e66118c4e3562a31', 'ACME SFP-GPON-B+', '1.490 nm', 'dengan diagnostik', '12 mnt sampai']) expect(text).toContain(part);
    expect(text).toContain('Batas kelas B+: lemah di bawah −25, kritis di bawah −27, terlalu kuat di atas −8 dBm');
    expect(faults).toEqual([]);
    await close();
  });

  it('is not there on a node without one', async () => {
    const { page, panel, close } = await open_details(() => null);
    expect(await line(page).count()).toBe(0);
    expect(await panel.count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Mulai ulang perangkat' }).count()).toBe(0);
    await close();
  });
});

describe('bad input', () => {
  const CONDITIONS = [
    { condition: 'wrong_protocol', id: ['Versi tautan papan berbeda', 'Firmware papan dan agen tidak cocok'], en: ['Board speaks another version', 'Firmware and agent do not match'] },
    { condition: 'frame_too_long', id: ['Bingkai dari papan terlalu panjang', 'Melebihi batas bingkai'], en: ['Frames from the board are too long', 'Longer than a frame may be'] },
    { condition: 'unknown_message', id: ['Pesan papan tidak dikenal', 'Perbarui agen'], en: ['Unknown messages from the board', 'Update the agent'] },
    { condition: 'bad_frame', id: ['Bingkai dari papan rusak', 'Derau'], en: ['Damaged frames from the board', 'Noise'] },
    { condition: 'impossible_value', id: ['Papan mengirim nilai mustahil', 'tidak dipakai'], en: ['Board sends impossible values', 'not used'] },
    { condition: 'silent', id: ['Papan diam', 'tidak ada yang masuk'], en: ['Board is silent', 'nothing comes from it'] },
    { condition: 'unplugged', id: ['Papan tercabut', 'kabel USB'], en: ['Board is unplugged', 'USB cable'] },
    { condition: 'boot_loader', id: ['Papan menunggu firmware', '2e8a:0003'], en: ['Board waits for firmware', '2e8a:0003'] },
    { condition: 'journal_damaged', id: ['Jurnal papan rusak', 'hitungan di hub tetap'], en: ["The board's journal is damaged", "hub's counts stay"] },
    { condition: 'journal_failed', id: ['Jurnal papan tidak dapat ditulis', 'Ganti papan'], en: ["The board's journal cannot be written", 'Replace the board'] },
  ] as const;
  it.each(['id', 'en'] as const)('of each kind shows its own reason and what to do (%s)', async (language) => {
    let condition: string = 'good';
    const { page, hub, panel, faults, close } = await open_details((now) => board(now, { condition, detail: 'rincian agen', since_ms: now - 180_000 }), { language });
    for (const each of CONDITIONS) {
      condition = each.condition;
      hub.say('changed');
      const alert = panel.locator('[data-alert="board"]');
      await alert.getByText(each[language][0]).waitFor();
      const text = await alert.innerText();
      expect(text).toContain(each[language][1]);
      expect(text).toContain('rincian agen');
      expect(text).toMatch(/09:38, 3 m/);
      expect(await line(page).innerText()).toContain(each[language][0]);
    }
    expect(faults).toEqual([]);
    await close();
  });

  const REASONS = [
    ['bad checksum', 'data rusak', 'seperti derau', 'bad checksum', 'like noise'],
    ['bus stuck', 'bus macet', 'Bus I2C tertahan', 'bus stuck', 'held down'],
    ['timeout', 'perangkat tidak menjawab', 'Modul tidak menjawab', 'device did not answer', 'does not answer'],
    ['out of range', 'di luar jangkauan', 'nilai yang mustahil', 'out of range', 'impossible values'],
    ['no module', 'modul tidak ada', 'kosong', 'no module', 'empty'],
    ['not supported', 'tidak terukur di sini', 'tidak disambung', 'not measured here', 'not wired'],
  ] as const;
  it.each(['id', 'en'] as const)('from an SFP, and an empty or unwired cage, each say why (%s)', async (language) => {
    let reason: string = '';
    const { hub, panel, close } = await open_details((now) => board(now, { cages: [empty_cage(0, now, reason)] }), { language });
    for (const [missing, ...words] of REASONS) {
      reason = missing;
      hub.say('changed');
      const [word, means] = language === 'id' ? words.slice(0, 2) : words.slice(2);
      await panel.locator('[data-part="cage-missing"]').getByText(means ?? '').waitFor();
      expect(await panel.locator('[data-part="cage-missing"]').innerText()).toContain(word);
      const fault = !['no module', 'not supported'].includes(missing);
      expect(await panel.locator('[data-alert="cage"]').count(), `${missing} is ${fault ? 'a' : 'no'} fault`).toBe(fault ? 1 : 0);
    }
    await close();
  });

  it('that is over stays as the last fault', async () => {
    const { panel, close } = await open_details((now) => board(now, { last_fault: { condition: 'frame_too_long', detail: '300 bytes', at_ms: now - 600_000 } }));
    expect(await panel.locator('[data-part="last-fault"]').innerText()).toBe('Gangguan terakhir: Bingkai dari papan terlalu panjang, 09:31. 300 bytes');
    expect(await panel.locator('[data-alert]').count()).toBe(0);
    await close();
  });

  it('of a module that measures nothing is a reason in place of a number', async () => {
    const { panel, close } = await open_details((now) => {
      const plain = empty_cage(0, now, 'no diagnostics');
      return board(now, { battery_voltage: null, cages: [{ ...plain, missing: null, module: { vendor: 'X', part: 'Y', serial: 'Z', wavelength_nm: 1_310, measures: false } }] });
    });
    expect(await panel.locator('[data-quantity="rx_power"]').innerText()).toContain('modul tanpa diagnostik');
    expect(await panel.innerText()).toContain('tanpa diagnostik');
    expect(await panel.locator('[data-fact="battery"] dd').innerText()).toMatch(/^–/);
    expect(await panel.innerText()).not.toMatch(/\b0 (V|dBm)/);
    await close();
  });
});

describe('light', () => {
  const STATES = [
    ['good', -19.3, 'Cahaya baik'],
    ['weak', -26.1, 'Cahaya lemah'],
    ['critical', -27.8, 'Cahaya kritis'],
    ['overload', -6.2, 'Cahaya terlalu kuat'],
    ['no_light', null, 'Tidak ada cahaya'],
  ] as const;

  it('is told by word and sign, not by colour alone, and darkness is no number', async () => {
    let at = 0;
    const { hub, panel, close } = await open_details((now) => {
      const [state, dbm] = STATES[at] ?? STATES[0];
      return board(now, { cages: [cage(0, now, dbm, state)] });
    });
    const signs = new Set<string>();
    for (at = 0; at < STATES.length; at += 1) {
      const [, dbm, words] = STATES[at] ?? STATES[0];
      hub.say('changed');
      const judged = panel.locator('[data-part="judgement"]');
      await judged.getByText(words).waitFor();
      signs.add(await judged.locator('svg').first().innerHTML());
      expect(await judged.innerText()).toMatch(/sejak 09:00, 41 mnt/);
      const received = panel.locator('[data-quantity="rx_power"]');
      if (dbm === null) expect(await received.innerText()).toMatch(/tidak ada cahaya\s+\d+ dtk/);
      else expect(await received.innerText()).toContain(`−${String(-dbm).replace('.', ',')} dBm`);
      expect(await panel.locator('.needle').count()).toBe(dbm === null ? 0 : 1);
    }
    expect(signs.size, 'each state has a sign of its own').toBe(STATES.length);
    await close();
  });

  it('whose judgement changed says since when and from what, on the card too', async () => {
    const { page, panel, close } = await open_details((now) => {
      const weak = cage(0, now, -27.4, 'critical');
      return board(now, { cages: [{ ...weak, judgement: weak.judgement && { ...weak.judgement, since_ms: now - 120_000, before: 'weak' } }] });
    });
    expect(await panel.locator('[data-part="judgement"]').innerText()).toMatch(/Cahaya kritis\s+sejak 09:39, 2 mnt\s+sebelumnya: Cahaya lemah/);
    expect(await panel.locator('[data-alert="optics"]').innerText()).toMatch(/Cahaya kritis di SFP 0\s+sejak 09:39, 2 mnt/);
    expect(await line(page).innerText()).toMatch(/Cahaya kritis di SFP 0\s+−27,4 dBm\s+2 mnt/);
    await close();
  });

  it('is judged by the limits of the module when it has some', async () => {
    const { panel, close } = await open_details((now) => {
      const own = cage(0, now, -28, 'good');
      return board(now, { cages: [{ ...own, judgement: own.judgement && { ...own.judgement, limits: { critical_below_dbm: -30, weak_below_dbm: -28.5, overload_above_dbm: -7, own: true } } }] });
    });
    expect(await panel.innerText()).toContain('Batas modul sendiri: lemah di bawah −28,5, kritis di bawah −30, terlalu kuat di atas −7 dBm');
    await close();
  });
});

describe('readings that are old', () => {
  it('look old and say so, on the card and in the details, and are still not zero', async () => {
    const { page, panel, close } = await open_details((now) => aged(board(now), 173));
    const supply = panel.locator('[data-fact="supply"] dd');
    expect(await supply.innerText()).toMatch(/12,08 V\s+lama · 3 mnt/);
    expect(await supply.locator('.value').evaluate((element) => getComputedStyle(element).fontStyle)).toBe('italic');
    expect(await panel.locator('[data-part="judgement"]').innerText()).toContain('lama');
    expect(await line(page).innerText()).toContain('lama · 3 mnt');
    await close();
  });

  it('become old while nothing new comes', async () => {
    const screen = await open_details(board, { own_time: true });
    const supply = screen.panel.locator('[data-fact="supply"] dd');
    expect(await supply.innerText()).not.toContain('lama');
    const frozen = screen.hub.overview(screen.hub.now_ms());
    screen.hub.overview = (now_ms) => ({ ...frozen, now_ms });
    await screen.pass(171_000);
    await supply.getByText('lama · 2 mnt').or(supply.getByText('lama · 3 mnt')).waitFor();
    await screen.close();
  });
});

describe('counts', () => {
  it('say how many came from buttons and how many by the API; simulated ones apart', async () => {
    const { page, close } = await open_room(browser, (now) => {
      const overview = three_nodes(now);
      const [first, second] = overview.nodes;
      if (!first || !second) throw new Error('two nodes');
      return {
        ...overview,
        services: [
          service('ktp', first, now, { counted: 42, counted_by_button: 30 }),
          service('ktp', second, now, { counted: 7, counted_by_button: 7 }),
          service('kk', second, now, { counted: 5 }),
          service('ktp', first, now, { counted: 1_000, counted_by_button: 1_000, simulated: true }),
        ],
      };
    });
    expect((await page.locator('[data-figure="counted"] .beside').innerText()).replace(/\s+/g, ' ')).toBe('tombol 37 API 17');
    const real = page.locator('[data-services="real"]');
    const sources = async (service_code: string): Promise<string[]> => (await real.locator(`[data-service="${service_code}"] [data-part="by-source"]`).allInnerTexts()).map((text) => text.trim());
    expect(await sources('ktp')).toEqual(['tombol 37, API 12', 'tombol 30, API 12', 'tombol 7']);
    expect(await sources('kk')).toEqual(['API 5', 'API 5']);
    expect(await page.locator('[data-services="simulated"] [data-part="by-source"]').first().innerText()).toContain('1.000');
    await close();
  });
});

describe('the relay', () => {
  it('is restarted after asking twice, and what came of it is shown', async () => {
    let result: NodeView['last_command'] = null;
    const screen = await open_room(browser, (now) => {
      const overview = with_board(board)(now);
      return { ...overview, nodes: overview.nodes.map((each) => ({ ...each, last_command: result })) };
    });
    const { page, hub } = screen;
    hub.order_id = 'ab'.repeat(16);
    await page.locator(`[data-node="${ID}"]`).getByRole('button', { name: /^Rincian/ }).click();
    const order = page.locator('[data-part="power-cycle"]');
    await order.getByRole('button', { name: 'Mulai ulang perangkat' }).click();
    await order.getByText('dimatikan 10 detik').waitFor();
    await order.getByRole('button', { name: 'Batal' }).click();
    expect(hub.posts).toEqual([]);
    await order.getByLabel('Matikan selama').selectOption({ label: '30 dtk' });
    await order.getByRole('button', { name: 'Mulai ulang perangkat' }).press('Enter');
    await order.getByRole('button', { name: 'Ya, mulai ulang' }).press('Enter');
    await expect.poll(() => hub.posts).toEqual([{ path: `/api/v1/nodes/${ID}/commands/power-cycle`, body: { off_ms: 30_000 } }]);
    await order.getByText('Terkirim, menunggu hasil').waitFor();
    result = { id: 'cd'.repeat(16), done: true, detail: 'an older one', at_ms: hub.now_ms() - 60_000 };
    hub.say('changed');
    await order.getByText('Terkirim, menunggu hasil').waitFor();
    result = { id: hub.order_id, done: false, detail: 'too soon', at_ms: hub.now_ms() };
    hub.say('changed');
    await order.getByText('Tidak dilakukan').waitFor();
    expect(await order.innerText()).toContain('too soon');
    expect(screen.faults).toEqual([]);
    await screen.close();
  });

  it.each([
    [409, 'Simpul tidak tersambung: tidak ada yang dikirim'],
    [401, 'Perlu masuk'],
    [500, 'Hub menolak perintah ini'],
  ])('says why nothing was sent when the hub answers %i', async (status, words) => {
    const { page, hub, close } = await open_details(board);
    hub.post_status = status;
    const order = page.locator('[data-part="power-cycle"]');
    await order.getByRole('button', { name: 'Mulai ulang perangkat' }).click();
    await order.getByRole('button', { name: 'Ya, mulai ulang' }).click();
    await order.getByText(words).waitFor();
    await close();
  });

  it('of a node that is not connected cannot be restarted, and says so', async () => {
    const { page, close } = await open_details(board, {}, { connected: false, liveness: 'late' });
    expect(await page.locator('[data-part="power-cycle"]').innerText()).toContain('tidak disimpan untuk nanti');
    expect(await page.getByRole('button', { name: 'Mulai ulang perangkat' }).count()).toBe(0);
    await close();
  });
});

describe('everyone', () => {
  const trouble = (now: number): BoardView =>
    aged(
      board(now, {
        condition: 'bad_frame',
        detail: 'x'.repeat(200),
        tamper: { open: true, since_ms: now - 60_000 },
        power: { condition: 'battery_low', since_ms: now - 60_000 },
        buttons_stuck: [{ desk: 'loket-1', since_ms: now - 60_000 }],
        cages: [cage(0, now, null, 'no_light'), empty_cage(1, now, 'bad checksum')],
      }),
      100,
    );

  it.each([
    ['id', PHONE],
    ['en', PHONE],
    ['id', { width: 320, height: 640 }],
    ['en', { width: 1366, height: 768 }],
  ] as const)('reads all of it in %s on %o, without sideways scrolling, and axe finds nothing', async (language, viewport) => {
    const { page, panel, faults, close } = await open_details(trouble, { language, viewport });
    expect(await panel.locator('[data-alert]').evaluateAll((alerts) => alerts.map((alert) => alert.getAttribute('data-alert')))).toEqual(['power', 'tamper', 'optics', 'board', 'cage', 'button']);
    const wide = await page.evaluate(() => {
      const dialog = document.querySelector('dialog');
      return [document.documentElement, dialog].filter((part) => part && part.scrollWidth > part.clientWidth).length;
    });
    expect(wide).toBe(0);
    await page.evaluate(axe.source);
    const violations = await page.evaluate(async () => (await (window as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ['violations'] })).violations.map((each) => `${each.id}: ${each.nodes[0]?.target.join(' ')} ${each.nodes[0]?.failureSummary ?? ''}`));
    expect(violations).toEqual([]);
    expect(faults).toEqual([]);
    await close();
  });
});
