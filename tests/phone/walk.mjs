// A technician's way through a node's phone page, in Chromium at a phone's size, with touches.
// node walk.mjs PAGE CODE FOLDER: says "masked" when masks are saved, and reads the name of a picture from the hub.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import assert from 'node:assert/strict';

const [page_url, code, folder] = process.argv.slice(2);
// The packages of the room's page: one browser driver for both.
const { chromium } = createRequire(join(import.meta.dirname, '../../central-hub/ui/package.json'))('playwright-core');
const axe_source = await readFile(createRequire(join(import.meta.dirname, '../../central-hub/ui/package.json')).resolve('axe-core/axe.min.js'), 'utf8');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const faults = [];

async function open(hash, more = {}) {
  const context = await browser.newContext({ ...PHONE, ...more });
  const page = await context.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text()); });
  page.on('request', (request) => { if (!request.url().startsWith(page_url) && !request.url().startsWith('blob:') && !request.url().startsWith('data:')) faults.push(`left the node: ${request.url()}`); });
  await page.goto(page_url + hash);
  return page;
}
const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
async function fits(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, `${what}: wider than the phone by ${wide} px`);
  const small = await page.evaluate(() => [...document.querySelectorAll('button, input, summary')].filter((it) => it.offsetParent && it.getBoundingClientRect().height < 44).map((it) => it.outerHTML));
  assert.deepEqual(small, [], `${what}: too small for a finger`);
}
async function readable(page, what) {
  // Run in a world of its own, past the page's policy.
  const session = await page.context().newCDPSession(page);
  const run = async (expression) => (await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })).result.value;
  await run(axe_source);
  const found = JSON.parse(await run('axe.run().then((it) => JSON.stringify(it.violations.map((one) => [one.id, one.nodes.map((node) => node.html)])))'));
  assert.deepEqual(found, [], `${what}: not accessible`);
}

try {
  // A stranger in the village's network sees nothing but how to come in.
  const stranger = await open('');
  await stranger.waitForSelector('#enter:visible');
  await fits(stranger, 'without a code');
  await shot(stranger, 'enter-id');
  await stranger.fill('#code', 'SIMPUL:1:35.12.01.2001-01:100000003f7a2c11');
  await stranger.tap('#open');
  await stranger.waitForFunction(() => document.getElementById('trouble').textContent.startsWith('Tidak ada kode'));
  await stranger.fill('#code', `http://x/#SIMPUL:1:a:${'0'.repeat(24)}`);
  await stranger.tap('#open');
  await stranger.waitForFunction(() => document.getElementById('trouble').textContent.includes('bukan milik simpul ini'));
  await shot(stranger, 'wrong-code-id');
  await stranger.context().close();

  // The label's code opens it, and is in the address line no more.
  const page = await open(`#${code}`);
  await page.waitForSelector('#inside:visible');
  assert.equal(page.url(), page_url);
  assert.equal(await page.evaluate(() => document.cookie), '', 'scripts do not see the session');
  await page.waitForFunction(() => document.getElementById('link').textContent.includes('Terhubung ke pusat'));
  assert.equal(await page.isDisabled('#accept'), true, 'nothing is accepted unexamined');
  await fits(page, 'the state');
  await shot(page, 'state-id');

  // The examination, in both languages.
  await page.tap('#examine');
  await page.waitForSelector('#findings li', { timeout: 40_000 });
  await page.waitForSelector('#accept:enabled');
  await shot(page, 'examined-id');
  await page.tap('#findings summary');
  assert.match(await page.textContent('#findings'), /BAIK/);
  await page.tap('#language');
  assert.match(await page.textContent('#findings'), /OK/);
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await shot(page, 'examined-en');
  await readable(page, 'examined');

  // The camera live, and a mask drawn with a finger.
  await page.tap('[data-act=live]');
  const picture = () => page.evaluate(() => { const it = document.querySelector('.view img'); return it.naturalWidth > 0 ? it.src : ''; });
  let first = '';
  for (const began = Date.now(); !first && Date.now() - began < 20_000; ) first = await picture() || (await page.waitForTimeout(100), '');
  assert.ok(first, 'a live picture');
  await page.waitForFunction((old) => { const it = document.querySelector('.view img'); return it.src !== old && it.naturalWidth > 0; }, first, { timeout: 10_000 });
  await page.locator('.view canvas').scrollIntoViewIfNeeded();
  const finger = await page.context().newCDPSession(page);
  const touch = (type, x, y) => finger.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x, y }] });
  async function drag(from, to) {
    const box = await page.locator('.view canvas').boundingBox();
    const at = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
    const scrolled = await page.evaluate(() => scrollY);
    await touch('touchStart', ...at(from));
    for (let step = 1; step <= 5; step += 1) await touch('touchMove', ...at([from[0] + (to[0] - from[0]) * step / 5, from[1] + (to[1] - from[1]) * step / 5]));
    await touch('touchEnd');
    assert.equal(await page.evaluate(() => scrollY), scrolled, 'drawing does not scroll');
  }
  await drag([0.1, 0.3], [0.4, 0.8]);
  await drag([0.9, 0.9], [0.6, 0.6]);
  await drag([0.5, 0.1], [0.502, 0.102]); // a tap is no mask
  assert.match(await page.textContent('.camera'), /Masks: 2 drawn, 0 fixed by the configuration. Not saved yet./);
  await shot(page, 'masks-en');
  await page.tap('[data-act=undo]');
  assert.match(await page.textContent('.camera'), /Masks: 1 drawn/);
  await page.tap('[data-act=save]');
  await page.waitForFunction(() => document.querySelector('.camera').textContent.includes('Saved.'));
  await page.tap('#language');
  await fits(page, 'the camera');
  await shot(page, 'masks-id');
  await readable(page, 'the camera');
  await page.tap('[data-act=confirm]');
  await page.waitForFunction(() => document.querySelector('.camera').textContent.includes('Dipastikan.'));

  // What the agent stored and the hub has: black under the mask, and there only.
  console.log('masked');
  const jpeg = await readFile((await lines.next()).value);
  const judge = await (await browser.newContext()).newPage();
  const means = await judge.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
    const pen = new OffscreenCanvas(image.width, image.height).getContext('2d');
    pen.drawImage(image, 0, 0);
    const mean = (x, y, width, height) => {
      const data = pen.getImageData(x * image.width, y * image.height, width * image.width, height * image.height).data;
      let sum = 0;
      for (let at = 0; at < data.length; at += 4) sum += data[at] + data[at + 1] + data[at + 2];
      return sum / data.length * 4 / 3;
    };
    return { under: mean(0.11, 0.31, 0.28, 0.48), beside: mean(0.45, 0.31, 0.4, 0.48) };
  }, jpeg.toString('base64'));
  assert.ok(means.under < 4 && means.beside > 20, `masked where it was drawn: ${JSON.stringify(means)}`);

  // In the dark, and accepted; a name is text and nothing else.
  await page.tap('[data-act=live]');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, 'dark-id');
  await readable(page, 'the dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.fill('#name', 'Sari <b>Teknisi</b>');
  await page.tap('#accept');
  await page.waitForFunction(() => document.getElementById('sure').textContent.includes('sekali lagi'));
  await page.tap('#accept');
  await page.waitForSelector('#done:visible');
  await fits(page, 'accepted');
  await shot(page, 'accepted-id');
  assert.deepEqual(faults, []);
  console.log('the walk is done');
} finally {
  if (faults.length) console.log(`faults: ${faults.join('; ')}`);
  await browser.close();
  // An open standard input would keep this alive.
  process.stdin.destroy();
}
