// View of the phone: derives the page's state from the model and renders it. It changes nothing in
// the model and sends no requests.

import { byId, digits, isLocalImage, setShown, setText } from "../shared/dom.js";
import { validWinners } from "../shared/event.js";

const BACK_SHOWN_MS = 2_500;
/** A connection that opens within this time needs no mention. */
const CONNECTING_SHOWN_MS = 2_000;

const CONNECTION_MESSAGES = {
  waiting: 'connectionWaiting',
  connecting: 'connectionConnecting',
  polling: 'connectionPolling',
  live: 'connectionLive',
};

/** Per notice its title, text and button. */
const NOTICES = {
  'no-event': ['noEventTitle', 'noEventText', 'again'],
  closed: ['closedTitle', 'closedText', 'again'],
  'registration-closed': ['registrationClosedTitle', 'registrationClosedText', 'again'],
  full: ['fullTitle', 'fullText', 'again'],
  replaced: ['replacedTitle', 'replacedText', 'useHere'],
};

/** Name of the page's state, which becomes the body's data-state. */
function viewOf(model) {
  if (model.ending === 'replaced') return 'replaced';
  if (model.ending === 'no-event') return 'no-event';
  return model.ticket ? viewWithTicket(model) : viewWithoutTicket(model);
}

function viewWithoutTicket({ isRegistering, page, hasState, state, refusal, isReset }) {
  if (isRegistering) return 'registering';
  if (page === 'recover') return 'recover';
  if (!hasState) return 'opening';
  if (state.phase === 'closed') return 'closed';
  if (refusal === 'EVENT_FULL') return 'full';
  if (!state.registration_open) return 'registration-closed';
  return isReset ? 'reset' : 'welcome';
}

function viewWithTicket({ voided, wins, page, selectedWin: win, isFormSkipped, isCorrecting, state, ticket }) {
  if (voided) return 'voided';
  if (wins.firstUnseen()) return 'won';
  if (page === 'prize' && win) {
    if (win.handed_over_at) return 'handed-over';
    return (win.details_received && !isCorrecting) || isFormSkipped ? 'claim' : 'form';
  }
  if (state.phase === 'closed') return 'over';
  const { current, announced } = state;
  if (current) return current.status === 'standby' ? 'standby' : 'suspense';
  // A number given after a draw took no part in it.
  const tookPart = announced && announced.draw_id > ticket.since;
  return tookPart && !announced.winners.includes(ticket.number) ? 'lost' : 'waiting';
}

/** Renders the model. Gives the name of its state. */
export function render(model, t) {
  const view = viewOf(model);
  document.body.dataset.state = view;
  for (const part of document.querySelectorAll('[data-when]')) part.hidden = !part.dataset.when.split(' ').includes(view);
  setText('event-title', model.state.title ?? '');
  setShown('rehearsal', Boolean(model.state.rehearsal));
  renderJoin(model, t);
  renderNotice(model, view, t);
  if (model.ticket) {
    renderTicket(model, t);
    renderNow(model, view, t);
    renderWon(model, t);
    renderProof(model, view, t);
  }
  return view;
}

/** Text for screen readers when the page enters a state; `from`: the state before. */
export function announcementFor({ ticket, wins, state }, view, from, t) {
  switch (view) {
    case 'won':
      return t('wonSpoken', digits(ticket.number), wins.firstUnseen().prize_name);
    case 'lost':
      return `${t('lostTitle')}. ${t('lostText')}`;
    case 'standby':
      return `${state.current.prize_name}. ${t('standbyText', state.current.winner_count)}`;
    case 'suspense':
      return `${t('suspenseTitle')}. ${t('suspenseText')}`;
    case 'waiting':
      return from === 'registering' || from === 'recover' ? t('numberSpoken', digits(ticket.number)) : '';
    default:
      return '';
  }
}

function renderJoin({ state, needsCode, isRegistering, refusal, failures, isReset, isForgotten, oldNumber }, t) {
  const kind = !isReset ? 'join' : isForgotten ? 'forgotten' : 'reset';
  setText('join-title', t(`${kind}Title`));
  setText('join-lead', t(`${kind}Lead`, oldNumber ? digits(oldNumber) : null));
  setText('join-rule', state.outside ? t(`rule_${state.outside}`) : '');
  const asksConsent = Boolean(state.consent_required && state.consent_text);
  setShown('consent', asksConsent);
  setText('consent-text', asksConsent ? state.consent_text : '');
  const isGuarded = Boolean((state.entry_code_required && !state.entry_code_rotates) || needsCode);
  setShown('entry', isGuarded);
  setShown('teaser', !asksConsent && !isGuarded);
  byId('join-button').disabled = isRegistering;
  setText('join-button', t(isRegistering ? 'joining' : asksConsent ? 'joinAgree' : 'joinButton'));
  setText('join-slow', isRegistering && failures > 0 ? t('joinSlow') : '');
  const wrong = { ENTRY_WRONG: 'entryWrong', ENTRY_NEEDED: 'entryNeeded', ENTRY_EXPIRED: 'entryExpired', FAILED: 'joinFailed' }[refusal];
  setText('join-wrong', wrong ? t(wrong) : '');
  setShown('join-recover', !isRegistering);
}

function renderNotice(model, view, t) {
  const canRecover = ['closed', 'registration-closed', 'full'].includes(view);
  setShown('notice-recover', canRecover);
  if (view === 'voided') {
    const { prize_name: name, reason } = model.voided;
    const isReset = reason === 'reset';
    setText('notice-title', t(isReset ? 'voidedResetTitle' : 'voidedTitle'));
    setText('notice-text', isReset ? t('voidedResetText', name) : t('voidedText', name, t('why', reason)));
    setText('notice-button', t('understood'));
  } else if (NOTICES[view]) {
    const [title, text, button] = NOTICES[view];
    setText('notice-title', t(title));
    setText('notice-text', t(text));
    setText('notice-button', t(button));
  }
}

function renderTicket({ ticket, wins, isStored }, t) {
  const number = digits(ticket.number);
  setText('number', number);
  byId('ticket').style.setProperty('--digits', number.length);
  setText('recovery-code', `${ticket.recovery.slice(0, 4)} ${ticket.recovery.slice(4)}`);
  setShown('renumbered', Boolean(ticket.replaces));
  setText('renumbered', ticket.replaces ? t('renumbered', digits(ticket.replaces)) : '');
  setShown('not-stored', !isStored);
  setShown('my-wins', wins.all.length > 0);
  setText('my-wins', t('myWins', wins.all.length));
}

function renderNow({ state, ticket, count }, view, t) {
  const { current, announced } = state;
  const prize = view === 'standby' || view === 'suspense' ? current : null;
  showImage('now-image', prize?.prize_image);
  setShown('now-rank', Boolean(prize));
  if (prize) setText('now-rank', rankOf(prize, t));
  const more = byId('now-more');
  more.hidden = true;
  if (view === 'standby') {
    setText('now-title', current.prize_name);
    setText('now-text', t('standbyText', current.winner_count));
  } else if (view === 'suspense') {
    setText('now-title', count ?? t('suspenseTitle'));
    setText('now-text', t('suspenseText'));
    more.hidden = false;
    setText('now-more', current.prize_name);
  } else if (view === 'lost') {
    setText('now-title', t('lostTitle'));
    setText('now-text', t('lostText'));
    more.hidden = false;
    setText('now-more', t('lostMore', announced.prize_name, validWinners(announced).map(digits)));
  } else {
    const isOver = view === 'over';
    const isWinner = !isOver && announced && validWinners(announced).includes(ticket.number);
    setText('now-title', t(isOver ? 'overTitle' : isWinner ? 'wonMore' : 'waitingTitle'));
    setText('now-text', t(isOver ? 'overText' : 'waitingText'));
  }
}

/** What this phone checked itself: its place in the locked list, or the code of the last draw. */
function renderProof({ checked: { place, code }, ticket }, view, t) {
  const isRunning = view === 'suspense' && place;
  const text = isRunning ? t(`place_${place}`, digits(ticket.number)) : code ? t('code', `${code.slice(0, 4)} ${code.slice(4)}`) : '';
  setShown('proof', text !== '');
  setText('proof', text);
}

function renderWon({ wins, ticket }, t) {
  const win = wins.firstUnseen();
  if (!win) return;
  setText('won-number', digits(ticket.number));
  byId('won-number').style.setProperty('--digits', digits(ticket.number).length);
  setText('won-name', win.prize_name);
  setShown('won-rank', true);
  setText('won-rank', rankOf(win, t));
  showImage('won-image', win.prize_image);
  setShown('won-here', !wins.isHere(win));
  byId('won-next').classList.toggle('night', wins.isHere(win));
}

/** A prize's grade as the host named it, else its rank. */
const rankOf = (prize, t) => prize.prize_grade || t('rank', prize.prize_rank);

/** Shows an image of this server; the page may not fetch others. */
function showImage(id, path) {
  const image = byId(id);
  const isLocal = isLocalImage(path);
  if (isLocal && image.getAttribute('src') !== path) {
    image.onerror = () => (image.hidden = true);
    image.hidden = false;
    image.src = path;
  } else if (!isLocal) {
    image.removeAttribute('src');
    image.hidden = true;
  } else if (image.complete && image.naturalWidth > 0) {
    image.hidden = false;
  }
}

/**
 * The connection's status at the top of the page: hidden while all is well, and never better than
 * the truth. Gives { update(status), render() }; update takes what the connection reports.
 */
export function connectionStatus(t) {
  let current = { status: 'opening', isPortal: false };
  let wasLost = false;
  let timer = null;

  function render() {
    const { status, isPortal } = current;
    const isDown = status === 'waiting' || status === 'connecting';
    const isBack = status === 'live' && wasLost;
    const key = isPortal ? 'connectionPortal' : isDown && navigator.onLine === false ? 'connectionOffline' : CONNECTION_MESSAGES[status];
    document.body.dataset.connection = isPortal ? 'portal' : status;
    setShown('connection', isDown || isPortal || status === 'polling' || isBack);
    if (key) setText('connection', t(key));
  }

  function update(next) {
    clearTimeout(timer);
    if (next.status === 'connecting') {
      // Between two attempts the last status stays.
      if (wasLost) return;
      timer = setTimeout(() => {
        wasLost = true;
        current = next;
        render();
      }, CONNECTING_SHOWN_MS);
      return;
    }
    if (next.status === 'waiting' || next.status === 'polling') wasLost = true;
    if (next.status === 'live' && wasLost) {
      timer = setTimeout(() => {
        wasLost = false;
        render();
      }, BACK_SHOWN_MS);
    }
    current = next;
    render();
  }

  return { update, render };
}
