// Rehearsal: a hall full of simulated phones, driven from this page through the front door, and wiped with one typed word.
//
// They register like anybody, hold sockets like anybody, and some of them hand in details when they win. Only an event that was made for
// rehearsing takes them, so that no real draw ever has a simulated winner.

import { call, randomId } from "../shared/api.js";
import { connect } from "../shared/connection.js";
import { make } from "../shared/dom.js";

const PHONES_MAX = 300;
/** So many register at once; a browser opens few connections to one server. */
const TOGETHER = 5;
/** Out of how many winners one forgets to hand in details. */
const FORGETFUL = 5;

export function rehearsal(desk) {
  const { t } = desk;
  let phones = [];
  let isFilling = false;
  let failed = 0;

  const heading = make('h2');
  const how = make('p', { className: 'quiet' });
  const count = make('input', { id: 'phone-count', type: 'number', min: 1, max: PHONES_MAX, value: 50 });
  const label = make('span');
  const fill = make('button', { type: 'button', id: 'fill-hall', className: 'main', onclick: fillHall });
  const stop = make('button', { type: 'button', id: 'empty-hall', onclick: emptyHall });
  const wipe = make('button', { type: 'button', id: 'wipe', className: 'danger', onclick: wipeAll });
  const progress = make('p', { id: 'rehearsal-progress', role: 'status' });
  const element = make('section', { className: 'card rehearsal' }, heading, how, make('label', { className: 'inline' }, label, count), make('div', { className: 'row' }, fill, stop, wipe), progress);

  async function fillHall() {
    const wanted = Math.min(PHONES_MAX, Math.max(1, Number(count.value) || 1));
    isFilling = true;
    failed = 0;
    const target = phones.length + wanted;
    const one = async () => {
      while (isFilling && phones.length + failed < target) await join();
    };
    await Promise.all(Array.from({ length: TOGETHER }, one));
    isFilling = false;
    render();
  }

  /** One more phone: a number through the front door, then a line. */
  async function join() {
    const phone = { number: null, line: null, isLive: false };
    phones.push(phone);
    try {
      const body = { event_id: desk.event, request_id: randomId(), consent: true, entry_code: desk.state.entry_code ?? undefined };
      // Without this browser's cookie, which would make all of them one participant.
      const given = await register(body);
      phone.number = given.draw_number;
      phone.line = connect({
        event: desk.event,
        token: given.session_token,
        onFrame: (frame) => hear(phone, given.session_token, frame),
        onStatus: ({ line }) => {
          phone.isLive = line === 'live' || line === 'polling';
          render();
        },
      });
    } catch {
      phones = phones.filter((other) => other !== phone);
      failed += 1;
    }
    render();
  }

  async function register(body) {
    const reply = await fetch('/api/luckydraw/register', {
      method: 'POST',
      credentials: 'omit',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    const json = await reply.json();
    if (!reply.ok) throw new Error(json.detail?.code);
    return json.data;
  }

  /** A winner hands in details after a while, as people do; now and then one forgets. */
  function hear(phone, token, frame) {
    if (frame.type !== 'winner_announced' || !frame.winners.includes(phone.number) || phone.number % FORGETFUL === 0) return;
    const details = {
      event_id: desk.event,
      draw_id: frame.draw_id,
      name: `${t('simulated')} ${phone.number}`,
      phone: `010-0000-${String(phone.number % 10_000).padStart(4, '0')}`,
      address: t('simulated'),
      consent: true,
    };
    setTimeout(() => {
      phone.line?.send({ type: 'im_here', draw_id: frame.draw_id });
      call('POST', '/winner-info', { body: details, token }).catch(() => null);
    }, 1_000 + Math.random() * 4_000);
  }

  function emptyHall() {
    isFilling = false;
    for (const phone of phones) phone.line?.close();
    phones = [];
    render();
  }

  async function wipeAll() {
    const word = t('rehearsalWord');
    const isSure = await desk.ask({ title: t('wipeTitle'), text: t('wipeText'), yes: t('wipe'), danger: true, word });
    if (!isSure) return;
    emptyHall();
    await desk.attempt(() => desk.call('POST', 'rehearsal/wipe', { word }), t('wiped'));
  }

  function render() {
    heading.textContent = t('rehearsalTitle');
    how.textContent = t('rehearsalHow');
    label.textContent = t('phoneCount');
    fill.textContent = t('fillHall');
    fill.disabled = isFilling;
    stop.textContent = t('emptyHall');
    stop.disabled = phones.length === 0;
    wipe.textContent = t('wipe');
    const live = phones.filter((phone) => phone.isLive).length;
    const text = phones.length + failed === 0 ? '' : t('hallIs', phones.length, live, failed);
    if (progress.textContent !== text) progress.textContent = text;
  }

  return { element, render };
}
