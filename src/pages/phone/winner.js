// What only a winner's phone needs: the prize, the word to the host, the form, the code for the prize desk, and confetti. Loaded after a win.

import { call, fetchFile } from "../shared/api.js";
import { language, moment } from "../shared/i18n.js";
import { make } from "../shared/dom.js";
import { detailsForm } from "./winner-form.js";
import { w } from "./winner-messages.js";

const PIECES = 70;
const CONFETTI_MS = 7_000;
/** How often a shown claim code asks whether the prize was handed over. */
const ASK_MS = 5_000;

/**
 * The desk of a winner, in the element `prize`. It shows model.picked and calls back: refresh(), heardWins(prizes), sayHere(win), pick(win), leave(),
 * changed(). Gives { show(), rest(), confetti() }.
 */
export function prizeDesk({ model, refresh, heardWins, sayHere, pick, leave, changed }) {
  dress();
  const root = document.getElementById('prize');
  const here = make('div', { id: 'here' });
  let built = null;
  let timer = null;
  let isAsked = false;

  function show() {
    const { picked: win, wins } = model;
    const view = document.body.dataset.state;
    // What is typed or drawn stays while nothing about it has changed: frames come at any time.
    const key = [view, language, win.draw_id, win.needs_address, win.claim_code, win.details_received, wins.all.length, model.privacy?.until].join('|');
    showHere(win);
    if (key !== built) {
      const hadFocus = built !== null && root.contains(document.activeElement);
      built = key;
      root.replaceChildren(top(wins.all, win), prizeCard(win), ...{ form, claim, 'handed-over': handedOver }[view](win));
      if (hadFocus) root.querySelector('[tabindex="-1"]')?.focus({ preventScroll: true });
    }
    if (view === 'handed-over') rest();
    else timer ??= setInterval(ask, ASK_MS);
    if (!model.privacy && view === 'form' && !isAsked) {
      // The words about privacy come with the phone's own state; once is enough, an old server has none.
      isAsked = true;
      refresh();
    }
  }

  function rest() {
    clearInterval(timer);
    timer = null;
  }

  /** Whether the desk has handed the prize over, or the host taken the win back. */
  async function ask() {
    if (document.visibilityState === 'hidden' || !model.ticket) return;
    const path = `/check-winner?event_id=${model.event}&draw_number=${model.ticket.number}`;
    const told = await call('GET', path, { token: model.ticket.token }).catch(() => null);
    if (told) heardWins(told.prizes);
  }

  function top(all, win) {
    const back = make('button', { id: 'prize-back', className: 'plain', type: 'button' }, `‹ ${w('back')}`);
    back.addEventListener('click', leave);
    const tabs = all.map((each) => {
      const tab = make('button', { type: 'button', className: 'tab', 'aria-pressed': String(each.draw_id === win.draw_id), dir: 'auto' }, each.prize_name);
      tab.addEventListener('click', () => pick(each));
      return tab;
    });
    return make('nav', { 'aria-label': w('wins') }, back, all.length > 1 ? make('div', { id: 'tabs' }, tabs) : null);
  }

  function prizeCard(win) {
    const image = win.prize_image?.startsWith('/') ? make('img', { src: win.prize_image, alt: '' }) : null;
    image?.addEventListener('error', () => image.remove());
    const rank = win.prize_grade || w('rank', win.prize_rank);
    return make(
      'div',
      { id: 'prize-card' },
      image,
      make('div', {}, make('p', { className: 'rank' }, rank), make('h1', { id: 'prize-name', tabIndex: -1, dir: 'auto' }, win.prize_name)),
    );
  }

  function showHere(win) {
    const isSaying = model.here.includes(win.draw_id);
    const isSaid = model.wins.isHere(win);
    const state = isSaid ? 'said' : isSaying && !model.hereFailed ? 'saying' : model.hereFailed ? 'failed' : 'open';
    const looks = `${state}|${language}`;
    if (here.dataset.looks === looks && here.firstChild) return;
    here.dataset.looks = looks;
    here.dataset.state = state;
    const button = make('button', { id: 'here-button', className: 'gold huge', type: 'button' }, w('here'));
    button.addEventListener('click', () => sayHere(model.picked));
    const words = { said: 'hereSaid', saying: 'hereSaying', failed: 'hereFailed', open: 'hereHelp' }[state];
    const text = make('p', { role: 'status', className: state === 'failed' ? 'wrong' : 'quiet' }, state === 'said' ? `✓ ${w(words)}` : w(words));
    here.replaceChildren(...(state === 'said' || state === 'saying' ? [text] : [button, text]));
  }

  function form(win) {
    const { event, ticket, privacy } = model;
    const sent = async (isFirst) => {
      win.details_received = true;
      model.isLate = !isFirst;
      changed();
      ask();
    };
    const skip = make('button', { id: 'details-skip', className: 'plain', type: 'button' }, w('skip'));
    skip.addEventListener('click', () => {
      model.isSkipped = true;
      changed();
    });
    return [here, detailsForm({ event, token: ticket.token, win, privacy, sent }), skip];
  }

  function claim(win) {
    const code = win.claim_code;
    const later = make('button', { id: 'details-open', type: 'button' }, w('detailsMissing'));
    later.addEventListener('click', () => {
      model.isSkipped = false;
      changed();
    });
    const parts = code
      ? [
          claimImage(model.event, code),
          make('p', { className: 'quiet' }, w('claimCode')),
          make('p', { id: 'claim-code' }, `${code.slice(0, 4)}-${code.slice(4)}`),
          make('p', { className: 'quiet' }, w('claimWarning')),
        ]
      : [make('p', { className: 'quiet', role: 'status' }, w('claimLoading'))];
    const details = win.details_received
      ? make('p', { id: 'details-sent', role: 'status' }, `✓ ${w('detailsSent')}`)
      : later;
    const late = model.isLate ? make('p', { className: 'note' }, w('firstKept')) : null;
    return [
      make('section', { id: 'claim' }, make('h2', {}, w('claimTitle')), make('p', { className: 'quiet' }, w('claimLead')), parts),
      details,
      ...(late ? [late] : []),
      here,
    ];
  }

  function handedOver(win) {
    return [
      make(
        'section',
        { id: 'handed', role: 'status' },
        make('div', { className: 'check', 'aria-hidden': 'true' }, '✓'),
        make('h2', {}, w('handedTitle')),
        make('p', {}, w('handedLead', moment(win.handed_over_at))),
      ),
    ];
  }

  return { show, rest, confetti };
}

/** The code as a picture. It is asked for in a body, since an address is written down in many places. */
function claimImage(event, code) {
  const image = make('img', { id: 'claim-qr', alt: w('claimQr'), width: 240, height: 240 });
  const body = { event_id: event, claim_code: code, secure: location.protocol === 'https:' };
  const wrong = make('p', { className: 'wrong', hidden: true, role: 'status' }, w('claimNoQr'));
  fetchFile('/claim.svg', { method: 'POST', body })
    .then((file) => {
      image.onload = () => URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(file);
    })
    .catch(() => {
      image.hidden = true;
      wrong.hidden = false;
    });
  return make('div', { className: 'qr' }, image, wrong);
}

/** Falls once over the celebration; not for those who asked for less motion. */
function confetti() {
  const box = document.getElementById('confetti');
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const pieces = Array.from({ length: PIECES }, (_, index) => {
    const piece = make('i', {});
    const chance = (least, most) => least + Math.random() * (most - least);
    piece.style.setProperty('--x', `${chance(0, 100)}%`);
    piece.style.setProperty('--drift', `${chance(-6, 6)}rem`);
    piece.style.setProperty('--turn', `${chance(2, 6) * (index % 2 ? 1 : -1)}turn`);
    piece.style.setProperty('--delay', `${chance(0, 1.6)}s`);
    piece.style.setProperty('--time', `${chance(2.4, 4.6)}s`);
    piece.className = `c${index % 5}`;
    return piece;
  });
  box.replaceChildren(...pieces);
  setTimeout(() => box.replaceChildren(), CONFETTI_MS);
}

/** The style of this part comes with it. */
function dress() {
  if (document.getElementById('win-style')) return;
  const href = new URL("./winner.css", import.meta.url).href;
  document.head.append(make('link', { id: 'win-style', rel: 'stylesheet', href }));
}
