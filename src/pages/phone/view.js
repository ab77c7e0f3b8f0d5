// What the phone shows: which state it is in, and how each state looks. It decides nothing else and asks the server nothing.

import { byId, digits, say, show } from "../shared/dom.js";

const TITLES = {
  'no-event': ['noEventTitle', 'noEventText', 'again'],
  closed: ['closedTitle', 'closedText', 'again'],
  'registration-closed': ['registrationClosedTitle', 'registrationClosedText', 'again'],
  full: ['fullTitle', 'fullText', 'again'],
  replaced: ['replacedTitle', 'replacedText', 'useHere'],
};

/** The name of the state the page is in; it stands in the body's data-state. */
export function viewOf(model) {
  if (model.ending === 'replaced') return 'replaced';
  if (model.ending === 'no-event') return 'no-event';
  return model.ticket ? viewOfTicket(model) : viewOfVisitor(model);
}

function viewOfVisitor({ isRegistering, page, isHeard, state, refusal, isReset }) {
  if (isRegistering) return 'registering';
  if (page === 'recover') return 'recover';
  if (!isHeard) return 'opening';
  if (state.phase === 'closed') return 'closed';
  if (refusal === 'EVENT_FULL') return 'full';
  if (!state.registration_open) return 'registration-closed';
  return isReset ? 'reset' : 'welcome';
}

function viewOfTicket({ voided, wins, page, picked, isSkipped, state, ticket }) {
  if (voided) return 'voided';
  if (wins.unseen()) return 'won';
  if (page === 'prize' && picked) {
    if (picked.handed_over_at) return 'handed-over';
    return picked.details_received || isSkipped ? 'claim' : 'form';
  }
  if (state.phase === 'closed') return 'over';
  if (state.current) return state.current.status === 'standby' ? 'standby' : 'suspense';
  // Whoever came after a draw had no part in it.
  if (state.announced && state.announced.draw_id > ticket.since) return state.announced.winners.includes(ticket.number) ? 'waiting' : 'lost';
  return 'waiting';
}

/** The winners of a draw who were not voided. */
const standing = ({ winners, voided = [] }) => winners.filter((number) => !voided.includes(number));

/** Shows the model. Gives the state it is in. */
export function render(model, t) {
  const view = viewOf(model);
  document.body.dataset.state = view;
  for (const part of document.querySelectorAll('[data-when]')) part.hidden = !part.dataset.when.split(' ').includes(view);
  say('event-title', model.state.title ?? '');
  show('rehearsal', Boolean(model.state.rehearsal));
  renderJoin(model, t);
  renderNotice(model, view, t);
  if (model.ticket) {
    renderTicket(model, t);
    renderNow(model, view, t);
    renderWon(model, t);
  }
  return view;
}

/** What a screen reader says when the page comes into a state; `from`: the one before. */
export function spokenOf({ ticket, wins, state }, view, from, t) {
  switch (view) {
    case 'won':
      return t('wonSpoken', digits(ticket.number), wins.unseen().prize_name);
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
  say('join-title', t(`${kind}Title`));
  say('join-lead', t(`${kind}Lead`, oldNumber ? digits(oldNumber) : null));
  const asks = Boolean(state.consent_required && state.consent_text);
  show('consent', asks);
  say('consent-text', asks ? state.consent_text : '');
  const isGuarded = Boolean(state.entry_code_required || needsCode);
  show('entry', isGuarded);
  show('teaser', !asks && !isGuarded);
  byId('join-button').disabled = isRegistering;
  say('join-button', t(isRegistering ? 'joining' : asks ? 'joinAgree' : 'joinButton'));
  say('join-slow', isRegistering && failures > 0 ? t('joinSlow') : '');
  const wrong = { ENTRY_WRONG: 'entryWrong', ENTRY_NEEDED: 'entryNeeded', FAILED: 'joinFailed' }[refusal];
  say('join-wrong', wrong ? t(wrong) : '');
  show('join-recover', !isRegistering);
}

function renderNotice(model, view, t) {
  const canRecover = ['closed', 'registration-closed', 'full'].includes(view);
  show('notice-recover', canRecover);
  if (view === 'voided') {
    const { prize_name: name, reason } = model.voided;
    const isReset = reason === 'reset';
    say('notice-title', t(isReset ? 'voidedResetTitle' : 'voidedTitle'));
    say('notice-text', isReset ? t('voidedResetText', name) : t('voidedText', name, t('why', reason)));
    say('notice-button', t('understood'));
  } else if (TITLES[view]) {
    const [title, text, button] = TITLES[view];
    say('notice-title', t(title));
    say('notice-text', t(text));
    say('notice-button', t(button));
  }
}

function renderTicket({ ticket, wins, isKept }, t) {
  const number = digits(ticket.number);
  say('number', number);
  byId('ticket').style.setProperty('--digits', number.length);
  say('recovery-code', `${ticket.recovery.slice(0, 4)} ${ticket.recovery.slice(4)}`);
  show('not-kept', !isKept);
  show('my-wins', wins.all.length > 0);
  say('my-wins', t('myWins', wins.all.length));
}

function renderNow({ state, ticket }, view, t) {
  const { current, announced } = state;
  const prize = view === 'standby' || view === 'suspense' ? current : null;
  showImage('now-image', prize?.prize_image);
  show('now-rank', Boolean(prize));
  if (prize) say('now-rank', rankOf(prize, t));
  const more = byId('now-more');
  more.hidden = true;
  if (view === 'standby') {
    say('now-title', current.prize_name);
    say('now-text', t('standbyText', current.winner_count));
  } else if (view === 'suspense') {
    say('now-title', t('suspenseTitle'));
    say('now-text', t('suspenseText'));
    more.hidden = false;
    say('now-more', current.prize_name);
  } else if (view === 'lost') {
    say('now-title', t('lostTitle'));
    say('now-text', t('lostText'));
    more.hidden = false;
    say('now-more', t('lostMore', announced.prize_name, standing(announced).map(digits)));
  } else {
    const isOver = view === 'over';
    const isWinner = !isOver && announced && standing(announced).includes(ticket.number);
    say('now-title', t(isOver ? 'overTitle' : isWinner ? 'wonMore' : 'waitingTitle'));
    say('now-text', t(isOver ? 'overText' : 'waitingText'));
  }
}

function renderWon({ wins, ticket }, t) {
  const win = wins.unseen();
  if (!win) return;
  say('won-number', digits(ticket.number));
  byId('won-number').style.setProperty('--digits', digits(ticket.number).length);
  say('won-name', win.prize_name);
  show('won-rank', true);
  say('won-rank', rankOf(win, t));
  showImage('won-image', win.prize_image);
  show('won-here', !wins.isHere(win));
  byId('won-next').classList.toggle('night', wins.isHere(win));
}

/** A prize's grade as the host named it, else its rank. */
export const rankOf = (prize, t) => prize.prize_grade || t('rank', prize.prize_rank);

/** An image of this server; what lies elsewhere the page may not ask for. */
export function showImage(id, path) {
  const image = byId(id);
  const isOurs = Boolean(path?.startsWith('/') && !path.startsWith('//'));
  if (isOurs && image.getAttribute('src') !== path) {
    image.onerror = () => (image.hidden = true);
    image.hidden = false;
    image.src = path;
  } else if (!isOurs) {
    image.removeAttribute('src');
    image.hidden = true;
  } else if (image.complete && image.naturalWidth > 0) {
    image.hidden = false;
  }
}
