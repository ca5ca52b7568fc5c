'use strict';
// The phone page. No framework; texts come from the catalogue (`WORDS`, put here when the agent is built).
const WORDS = '@WORDS@';
const LIVE_MS = 1000, LIVE_MAX_MS = 600000, STATE_MS = 4000, MASKS_MAX = 32;
const $ = (id) => document.getElementById(id);
const store = { get(name) { try { return localStorage.getItem(name); } catch { return null; } }, set(name, value) { try { localStorage.setItem(name, value); } catch { /* private windows */ } } };
let language = store.get('simpul.language') === 'en' ? 'en' : 'id';
let state = null, report = null, sure = false, timer = 0;
const cameras = new Map();

function say(key, places = {}) {
  return WORDS[key][language === 'id' ? 0 : 1].replace(/\{(\w+)\}/g, (_, name) => String(places[name] ?? ''));
}
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
const number = (value) => value.toLocaleString(language === 'id' ? 'id-ID' : 'en-GB');
function duration(s) {
  if (s < 90) return say('Common.Seconds', { n: number(s) });
  if (s < 5400) return say('Common.Minutes', { n: number(Math.round(s / 60)) });
  if (s < 129600) return say('Common.Hours', { n: number(Math.round(s / 3600)) });
  return say('Common.Days', { n: number(Math.round(s / 86400)) });
}

const REFUSED = {
  wrong_code: 'Phone.WrongCode', too_many_tries: 'Phone.TooManyTries', code_used: 'Phone.CodeUsed', code_expired: 'Phone.CodeExpired',
  no_session: 'Phone.SessionOver', other_address: 'Phone.SessionOver', busy: 'Phone.Busy', not_examined: 'Phone.AcceptFirst', camera: 'Phone.CameraSays',
};
let trouble = null;
/** Shows why something did not work; nothing: it does again. */
function complain(error) {
  trouble = error ?? null;
  $('trouble').hidden = !trouble;
  if (!trouble) return;
  $('trouble').textContent = trouble.code === 'offline' ? say('Phone.NoAnswer') : trouble.key ? say(trouble.key) : say(REFUSED[trouble.code] ?? 'Phone.Failed', { what: trouble.message });
}
async function ask(path, body, blob) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  } catch {
    throw { code: 'offline' };
  }
  if (answer.ok) return blob ? answer.blob() : answer.json();
  const why = await answer.json().catch(() => ({ error: '', message: String(answer.status) }));
  throw { code: why.error, message: why.message };
}
const OUTSIDE = ['wrong_code', 'too_many_tries', 'code_used', 'code_expired', 'no_session', 'other_address'];
function failed(error) {
  if (error.code === 'closed') return show('done');
  if (OUTSIDE.includes(error.code)) show('enter');
  complain(error);
}
function show(which) {
  for (const id of ['enter', 'done', 'inside']) $(id).hidden = id !== which;
  if (which !== 'inside') for (const camera of cameras.values()) camera.stop();
  complain();
}

/** The code at the end of a label's link. */
const code_in = (text) => (/(?:^|[:#\s])([0-9a-f]{24})\s*$/.exec(text.toLowerCase()) ?? [])[1];
async function enter(code) {
  await ask('/api/session', { code });
  await refresh();
}
async function refresh() {
  clearTimeout(timer);
  try {
    state = await ask('/api/state');
    if ($('inside').hidden) show('inside');
    if (trouble && trouble.code === 'offline') complain();
    draw();
  } catch (error) {
    failed(error);
    if (error.code !== 'offline') return;
  }
  timer = setTimeout(refresh, STATE_MS);
}

function draw() {
  document.documentElement.lang = language;
  for (const place of document.querySelectorAll('[data-say]')) place.textContent = say(place.dataset.say);
  complain(trouble);
  if (!state) return;
  $('node').textContent = state.node;
  document.title = `Simpul ${state.node}`;
  $('link').textContent = `${state.up ? '●' : '○'} ${say(state.up ? 'Phone.Up' : 'Phone.Down')}, ${say('Phone.Since', { n: duration(state.since_s) })}`;
  $('link').className = `verdict ${state.up ? 'good' : 'bad'}`;
  const facts = [
    [say('Phone.LastAck'), state.last_ack_s === null ? say('Phone.NoAck') : say('Phone.Ago', { n: duration(state.last_ack_s) })],
    [say('Phone.Waiting'), say('Phone.Records', { n: number(state.waiting) })],
    [say('Phone.ClockIs'), say(state.clock ? 'Phone.ClockGood' : 'Phone.ClockBad'), state.clock ? '' : 'warn'],
  ];
  if (state.lost > 0) facts.push([say('Phone.Lost'), say('Phone.Records', { n: number(state.lost) }), 'bad']);
  if (state.disk_full) facts.push([say('Phone.Card'), say('Phone.CardFull'), 'bad']);
  if (state.board !== null) facts.push([say('Phone.Board'), state.board ?? say('Phone.Unknown'), state.board === 'good' ? '' : 'warn']);
  $('facts').replaceChildren(...facts.flatMap(([name, value, tone]) => [element('dt', '', name), element('dd', tone ?? '', value)]));
  draw_report();
  if (!state.cameras.length) $('cameras').textContent = say('Phone.NoCameras');
  for (const camera of state.cameras) {
    if (!cameras.has(camera.id)) cameras.set(camera.id, new Camera(camera));
    cameras.get(camera.id).draw(camera);
  }
  if (!$('examine').disabled) $('accept').disabled = !state.examined;
  $('sure').textContent = state.examined ? (sure ? say('Phone.AcceptSure') : '') : say('Phone.AcceptFirst');
}

const TONE = { ok: ['good', 'Doctor.Ok'], absent: ['quiet', 'Doctor.Absent'], warn: ['warn', 'Doctor.Warn'], unknown: ['warn', 'Doctor.Unknown'], fail: ['bad', 'Doctor.Fail'] };
function finding(it) {
  const [what, why, act] = it.words[language];
  const line = element('li', it.effect ? 'effect' : '');
  const [tone, word] = TONE[it.verdict] ?? TONE.unknown;
  line.append(element('span', `tag ${tone}`, say(word)), element('p', '', what));
  if (!it.effect && !['ok', 'absent'].includes(it.verdict)) {
    if (why) line.append(element('p', 'quiet', say('Doctor.Why', { text: why })));
    if (act) line.append(element('p', '', say('Doctor.Act', { text: act })));
  }
  return line;
}
function draw_report() {
  if ($('examine').disabled) { $('examined').textContent = say('Phone.Examining'); return; }
  $('examined').textContent = report ? '' : say(state.examined ? TONE[state.examined][1] : 'Phone.NotExamined');
  if (!report) return;
  const open = $('findings').querySelector('details')?.open;
  const well = report.findings.filter((it) => ['ok', 'absent'].includes(it.verdict));
  const ill = report.findings.filter((it) => !well.includes(it));
  const all_well = ill.length ? [] : [element('li', 'verdict good', say('Doctor.AllWell'))];
  const rest = element('li'), details = element('details'), list = element('ul');
  details.open = open ?? false;
  list.append(...well.map(finding));
  details.append(element('summary', '', say('Phone.WellToo', { n: number(well.length) })), list);
  rest.append(details);
  $('findings').replaceChildren(...all_well, ...ill.map(finding), ...(well.length ? [rest] : []));
}

/** One camera: its line, its live picture, its masks in thousandths of width and height. */
class Camera {
  constructor({ id, drawn }) {
    this.id = id;
    this.masks = drawn;
    this.said = null;
    this.saved = JSON.stringify(drawn);
    this.box = element('div', 'camera');
    this.box.dataset.camera = id;
    this.title = element('h3');
    this.view = element('div', 'view');
    this.picture = element('img');
    this.picture.alt = '';
    this.canvas = element('canvas');
    this.view.append(this.picture, this.canvas);
    this.view.hidden = true;
    this.live_note = element('p', 'quiet');
    this.how = element('p');
    this.count = element('p', 'quiet');
    this.count.setAttribute('aria-live', 'polite');
    const button = (act, className, name) => {
      const made = element('button', className);
      made.type = 'button';
      made.dataset.act = name;
      made.addEventListener('click', act);
      return made;
    };
    this.toggle = button(() => (this.live ? this.stop() : this.start()), '', 'live');
    this.undo = button(() => this.change(this.masks.slice(0, -1)), 'second', 'undo');
    this.clear = button(() => this.change([]), 'second', 'clear');
    this.save = button(() => void this.keep(), '', 'save');
    this.confirm = button(() => void this.sure(), 'second', 'confirm');
    this.confirm_how = element('p', 'quiet');
    const row = element('div', 'row');
    row.append(this.undo, this.clear);
    this.tools = element('div');
    this.tools.hidden = true;
    this.tools.append(this.how, row, this.save, this.count, this.confirm, this.confirm_how);
    this.box.append(this.title, this.live_note, this.view, this.toggle, this.tools);
    $('cameras').append(this.box);
    this.canvas.addEventListener('pointerdown', (event) => this.down(event));
    this.canvas.addEventListener('pointermove', (event) => this.move(event));
    this.canvas.addEventListener('pointerup', (event) => this.up(event));
    this.canvas.addEventListener('pointercancel', () => { this.drag = null; this.paint(); });
  }
  draw(known) {
    this.known = known;
    const CONDITIONS = { good: 'Phone.CameraGood', unreachable: 'Phone.CameraUnreachable', unauthorized: 'Phone.CameraUnauthorized', bad_image: 'Phone.CameraBadImage', frozen: 'Phone.CameraFrozen', black: 'Phone.CameraBlack', view_changed: 'Phone.CameraViewChanged' };
    const condition = known.condition;
    this.title.replaceChildren(`${this.id} `, element('small', condition === 'good' ? 'good' : 'warn', say(CONDITIONS[condition] ?? 'Phone.Unknown')));
    this.toggle.textContent = say(this.live ? 'Phone.Stop' : 'Phone.Live');
    this.toggle.className = this.live ? 'second' : '';
    this.live_note.textContent = this.live ? say('Phone.LiveNote') : this.itself ? say('Phone.StoppedItself') : '';
    this.how.textContent = say('Phone.Draw');
    this.undo.textContent = say('Phone.Undo');
    this.clear.textContent = say('Phone.Clear');
    this.save.textContent = say('Phone.Save');
    this.confirm.textContent = say('Phone.Confirm');
    this.confirm_how.textContent = say('Phone.ConfirmHow');
    const changed = JSON.stringify(this.masks) !== this.saved;
    this.undo.disabled = this.clear.disabled = !this.masks.length;
    this.save.disabled = !changed;
    const told = changed ? say('Phone.Unsaved') : this.said ? say(this.said) : '';
    this.count.textContent = `${say('Phone.Masks', { n: number(this.masks.length), fixed: number(known.fixed.length) })} ${told}`;
    this.paint();
  }
  start() {
    this.itself = false;
    this.live = setTimeout(() => { this.itself = true; this.stop(); }, LIVE_MAX_MS);
    this.tools.hidden = this.view.hidden = false;
    this.draw(this.known);
    void this.look(this.live);
  }
  stop() {
    clearTimeout(this.live);
    this.live = 0;
    this.tools.hidden = this.view.hidden = true;
    this.picture.removeAttribute('src');
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.draw(this.known);
  }
  /** A picture each second while somebody looks. */
  async look(turn) {
    while (this.live === turn && turn) {
      const began = performance.now();
      if (!document.hidden) {
        try {
          const blob = await ask(`/api/aim?camera=${encodeURIComponent(this.id)}`, undefined, true);
          if (this.live !== turn) return;
          const old = this.url;
          this.url = this.picture.src = URL.createObjectURL(blob);
          await this.picture.decode().catch(() => {});
          if (old) URL.revokeObjectURL(old);
          if (trouble && (trouble.code === 'camera' || trouble.code === 'offline')) complain();
          this.paint();
        } catch (error) {
          if (error.code !== 'busy') failed(error);
        }
      }
      await new Promise((go) => setTimeout(go, Math.max(250, LIVE_MS - (performance.now() - began))));
    }
  }
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (value, size) => Math.min(1000, Math.max(0, Math.round(value / size * 1000)));
    return [part(event.clientX - box.left, box.width), part(event.clientY - box.top, box.height)];
  }
  rectangle([x1, y1], [x2, y2]) {
    return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)];
  }
  down(event) {
    if (this.drag || !event.isPrimary) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { from: this.at(event), to: this.at(event) };
  }
  move(event) {
    if (!this.drag || !event.isPrimary) return;
    this.drag.to = this.at(event);
    this.paint();
  }
  up(event) {
    if (!this.drag || !event.isPrimary) return;
    const mask = this.rectangle(this.drag.from, this.at(event));
    this.drag = null;
    // Less than a finger's tremble is a tap.
    if (mask[2] >= 15 && mask[3] >= 15) {
      if (this.masks.length >= MASKS_MAX) complain({ key: 'Phone.TooManyMasks' });
      else this.change([...this.masks, mask]);
    }
    this.paint();
  }
  change(masks) {
    this.masks = masks;
    this.said = null;
    this.draw(this.known);
  }
  async keep() {
    const masks = this.masks;
    try {
      await ask('/api/masks', { camera: this.id, masks });
      this.saved = JSON.stringify(masks);
      this.said = 'Phone.Saved';
      complain();
    } catch (error) {
      failed(error);
    }
    this.draw(this.known);
  }
  async sure() {
    try {
      await ask('/api/confirm', { camera: this.id });
      this.said = 'Phone.Confirmed';
      complain();
    } catch (error) {
      failed(error);
    }
    this.draw(this.known);
  }
  paint() {
    if (this.view.hidden) return;
    const box = this.canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
    this.canvas.width = box.width * scale;
    this.canvas.height = box.height * scale;
    const pen = this.canvas.getContext('2d');
    const fill = ([x, y, width, height], line) => {
      const [sx, sy] = [this.canvas.width / 1000, this.canvas.height / 1000];
      const sides = [x * sx, y * sy, width * sx, height * sy];
      pen.fillStyle = 'rgba(0, 0, 0, .72)';
      pen.fillRect(...sides);
      pen.strokeStyle = line;
      pen.lineWidth = 2 * scale;
      pen.strokeRect(...sides);
    };
    for (const mask of this.known.fixed) fill(mask, '#9aa5b1');
    for (const mask of this.masks) fill(mask, '#ffd54a');
    if (this.drag) fill(this.rectangle(this.drag.from, this.drag.to), '#fff');
  }
}

$('language').addEventListener('click', () => {
  language = language === 'id' ? 'en' : 'id';
  store.set('simpul.language', language);
  draw();
});
$('open').addEventListener('click', () => {
  const code = code_in($('code').value);
  if (code) enter(code).catch(failed);
  else complain({ key: 'Phone.NoCodeInIt' });
});
$('examine').addEventListener('click', async () => {
  $('examine').disabled = true;
  $('accept').disabled = true;
  $('findings').replaceChildren();
  draw();
  try {
    report = await ask('/api/examine', {});
    state.examined = report.verdict;
    complain();
  } catch (error) {
    failed(error);
  }
  $('examine').disabled = false;
  draw();
});
$('accept').addEventListener('click', async () => {
  if (!$('name').value.trim()) { $('name').focus(); return; }
  if (!sure) { sure = true; draw(); return; }
  try {
    await ask('/api/accept', { name: $('name').value });
    clearTimeout(timer);
    show('done');
  } catch (error) {
    failed(error);
  }
  sure = false;
});
$('name').addEventListener('input', () => { sure = false; draw(); });
window.addEventListener('resize', () => { for (const camera of cameras.values()) camera.paint(); });

draw();
const code = code_in(location.hash);
// Out of the address line and the history, before anything else.
if (location.hash) history.replaceState(null, '', location.pathname);
(code ? enter(code) : refresh()).catch(failed);
window.addEventListener('hashchange', () => {
  const code = code_in(location.hash);
  history.replaceState(null, '', location.pathname);
  if (code) enter(code).catch(failed);
});
