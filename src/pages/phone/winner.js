// Part of the phone page for winners, loaded after a win: the prize, the "I'm here" button, the
// form for the winner's details, the claim code for the prize desk, and confetti.

import { call, fetchFile } from "../shared/api.js";
import { byId, isLocalImage, make } from "../shared/dom.js";
import { formatTime, language } from "../shared/i18n.js";
import { detailsForm } from "./winner-form.js";
import { t } from "./winner-messages.js";

const CONFETTI_PIECES = 70;
const CONFETTI_MS = 7_000;
/** Interval of requests for the hand-over of the prize whose claim code is shown. */
const POLL_MS = 5_000;

const HERE_MESSAGES = { sent: 'hereSent', sending: 'hereSending', failed: 'hereFailed', open: 'hereHelp' };

/**
 * Makes the part in the element `prize`. It shows model.selectedWin and calls back: refresh(),
 * applyWins(prizes), reportPresence(win), selectWin(win), leave() and show() after a change of the
 * model.
 */
export function winnerPart(context) {
  document.head.append(make('link', { rel: 'stylesheet', href: new URL("./winner.css", import.meta.url).href }));
  return new WinnerPart(context);
}

class WinnerPart {
  constructor({ model, ...callbacks }) {
    this.model = model;
    this.callbacks = callbacks;
    this.root = byId('prize');
    this.here = make('div', { id: 'here' });
    this.builtKey = null;
    this.timer = null;
    this.askedForPrivacy = false;
    this.isCorrected = false;
  }

  show() {
    const { selectedWin: win, wins, privacy } = this.model;
    const view = document.body.dataset.state;
    this.renderHere(win);
    // Frames arrive at any time; typed text stays while its form is unchanged.
    const { draw_id: id, needs_address: needsAddress, claim_code: code, details_received: isReceived } = win;
    const key = [view, language(), id, needsAddress, code, isReceived, wins.all.length, privacy?.until].join('|');
    if (key !== this.builtKey) this.build(view, win, key);
    if (view === 'handed-over') this.stop();
    else this.timer ??= setInterval(() => this.poll(), POLL_MS);
    if (!privacy && view === 'form' && !this.askedForPrivacy) {
      // The privacy notice comes with the phone's own state. One request is enough: an old server
      // has none.
      this.askedForPrivacy = true;
      this.callbacks.refresh();
    }
  }

  /** Stops the requests to the server. */
  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  build(view, win, key) {
    const hadFocus = this.builtKey !== null && this.root.contains(document.activeElement);
    this.builtKey = key;
    const parts = { form: () => this.form(win), claim: () => this.claim(win), 'handed-over': () => [handedOver(win)] }[view]();
    this.root.replaceChildren(this.navigation(win), prizeCard(win), ...parts);
    if (hadFocus) this.root.querySelector('[tabindex="-1"]')?.focus({ preventScroll: true });
  }

  /** Requests whether the desk has handed the prize over or the host has voided the win. */
  async poll() {
    const { event, ticket } = this.model;
    if (document.visibilityState === 'hidden' || !ticket) return;
    const path = `/check-winner?event_id=${event}&draw_number=${ticket.number}`;
    const data = await call('GET', path, { token: ticket.token }).catch(() => null);
    if (data) this.callbacks.applyWins(data.prizes);
  }

  navigation(win) {
    const { all } = this.model.wins;
    const onclick = this.callbacks.leave;
    const back = make('button', { id: 'prize-back', className: 'plain', type: 'button', onclick }, `‹ ${t('back')}`);
    const tab = (each) =>
      make(
        'button',
        {
          type: 'button',
          className: 'tab',
          'aria-pressed': String(each.draw_id === win.draw_id),
          dir: 'auto',
          onclick: () => this.callbacks.selectWin(each),
        },
        each.prize_name,
      );
    return make('nav', { 'aria-label': t('wins') }, back, all.length > 1 ? make('div', { id: 'tabs' }, all.map(tab)) : null);
  }

  renderHere(win) {
    const { pendingHere, hereFailed, wins } = this.model;
    const isSending = pendingHere.includes(win.draw_id) && !hereFailed;
    const state = wins.isHere(win) ? 'sent' : isSending ? 'sending' : hereFailed ? 'failed' : 'open';
    const key = `${state}|${language()}`;
    if (this.here.dataset.key === key && this.here.firstChild) return;
    Object.assign(this.here.dataset, { key, state });
    const onclick = () => this.callbacks.reportPresence(this.model.selectedWin);
    const button = make('button', { id: 'here-button', className: 'gold huge', type: 'button', onclick }, t('here'));
    const message = t(HERE_MESSAGES[state]);
    const className = state === 'failed' ? 'wrong' : 'quiet';
    const text = make('p', { role: 'status', className }, state === 'sent' ? `✓ ${message}` : message);
    this.here.replaceChildren(...(state === 'sent' || state === 'sending' ? [text] : [button, text]));
  }

  form(win) {
    const { event, ticket, privacy } = this.model;
    const onSent = (isFirst) => {
      win.details_received = true;
      this.isCorrected = !isFirst;
      this.model.isCorrecting = false;
      this.callbacks.show();
      this.poll();
    };
    const onclick = () => this.skipForm(true);
    const label = t(this.model.isCorrecting ? 'keepDetails' : 'skip');
    const skip = make('button', { id: 'details-skip', className: 'plain', type: 'button', onclick }, label);
    return [this.here, detailsForm({ event, token: ticket.token, win, privacy, onSent }), skip];
  }

  skipForm(isSkipped) {
    Object.assign(this.model, { isFormSkipped: isSkipped && !this.model.selectedWin.details_received, isCorrecting: false });
    this.callbacks.show();
  }

  /** Opens the form again: details can be corrected until the prize is handed over. */
  correctDetails() {
    Object.assign(this.model, { isFormSkipped: false, isCorrecting: true });
    this.callbacks.show();
  }

  claim(win) {
    const code = win.claim_code;
    const parts = code
      ? [
          claimImage(this.model.event, code),
          make('p', { className: 'quiet' }, t('claimCode')),
          make('p', { id: 'claim-code' }, `${code.slice(0, 4)}-${code.slice(4)}`),
          make('p', { className: 'quiet' }, t('claimWarning')),
        ]
      : [make('p', { className: 'quiet', role: 'status' }, t('claimLoading'))];
    const sent = t(this.isCorrected ? 'detailsCorrected' : 'detailsSent');
    const details = win.details_received
      ? [
          make('p', { id: 'details-sent', role: 'status' }, `✓ ${sent}`),
          make('button', { id: 'details-correct', className: 'plain', type: 'button', onclick: () => this.correctDetails() }, t('correct')),
        ]
      : [make('button', { id: 'details-open', type: 'button', onclick: () => this.skipForm(false) }, t('detailsMissing'))];
    return [
      make('section', { id: 'claim' }, make('h2', {}, t('claimTitle')), make('p', { className: 'quiet' }, t('claimLead')), parts),
      ...details,
      this.here,
    ];
  }

  /** Confetti falls once over the celebration, but not for people who prefer reduced motion. */
  confetti() {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const box = byId('confetti');
    box.replaceChildren(...Array.from({ length: CONFETTI_PIECES }, (_, index) => confettiPiece(index)));
    setTimeout(() => box.replaceChildren(), CONFETTI_MS);
  }
}

function prizeCard(win) {
  const onerror = () => image.remove();
  const image = isLocalImage(win.prize_image) ? make('img', { src: win.prize_image, alt: '', onerror }) : null;
  const rank = win.prize_grade || t('rank', win.prize_rank);
  const name = make('h1', { id: 'prize-name', tabIndex: -1, dir: 'auto' }, win.prize_name);
  return make('div', { id: 'prize-card' }, image, make('div', {}, make('p', { className: 'rank' }, rank), name));
}

function handedOver(win) {
  return make(
    'section',
    { id: 'handed', role: 'status' },
    make('div', { className: 'check', 'aria-hidden': 'true' }, '✓'),
    make('h2', {}, t('handedTitle')),
    make('p', {}, t('handedLead', formatTime(win.handed_over_at))),
  );
}

/** The claim code as a QR code. The code travels in a body, since addresses end up in logs. */
function claimImage(event, code) {
  const image = make('img', { id: 'claim-qr', alt: t('claimQr'), width: 240, height: 240 });
  const body = { event_id: event, claim_code: code, secure: location.protocol === 'https:' };
  const failure = make('p', { className: 'wrong', hidden: true, role: 'status' }, t('claimNoQr'));
  fetchFile('/claim.svg', { method: 'POST', body })
    .then((file) => {
      image.onload = () => URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(file);
    })
    .catch(() => {
      image.hidden = true;
      failure.hidden = false;
    });
  return make('div', { className: 'qr' }, image, failure);
}

function confettiPiece(index) {
  const random = (least, most) => least + Math.random() * (most - least);
  const piece = make('i', { className: `c${index % 5}` });
  const styles = {
    '--x': `${random(0, 100)}%`,
    '--drift': `${random(-6, 6)}rem`,
    '--turn': `${random(2, 6) * (index % 2 ? 1 : -1)}turn`,
    '--delay': `${random(0, 1.6)}s`,
    '--time': `${random(2.4, 4.6)}s`,
  };
  for (const [name, value] of Object.entries(styles)) piece.style.setProperty(name, value);
  return piece;
}
