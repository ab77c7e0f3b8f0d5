// The prize desk page: scans or types a winner's code, shows the prize and the masked name, and
// records the hand-over once.
//
// A browser without a scanner works too: the winner's QR code is this page's own address with the
// code behind its #, so the desk's phone opens it with its camera. A hand scanner is a keyboard that
// types this address, in Hangul under a Korean input method, and presses Enter; the server finds the
// code in it. The desk proves its role by its signed link or by a host's login.

import { call } from "../shared/api.js";
import { byId, digits, findEvent, make, setShown, setText, takeLinkToken } from "../shared/dom.js";
import { formatTime, isolate, language, translatePage } from "../shared/i18n.js";
import * as storage from "../shared/storage.js";
import { messages } from "./messages.js";

const SCAN_MS = 250;
const LOG_MAX = 50;
const CLAIM_MESSAGES = { done: 'done', 'handed-over': 'handedOver', ready: 'ready' };

let event = null;
let token = null;
let claim = null;
let code = null;
/** The running camera: { stream, timer }. */
let camera = null;
/** True while a code is looked up: a form that is sent twice looks once. */
let isSearching = false;

const t = translatePage(messages, () => {
  if (claim) showClaim();
  showLog();
});

async function start() {
  event = await findEvent();
  const scanned = codeIn(location.hash);
  const linkToken = takeLinkToken();
  if (linkToken) storage.set(`staff.${event}`, linkToken);
  if (location.hash) dropHash();
  token = storage.get(`staff.${event}`);
  const isAllowed = Boolean(event && (token || (await isHostLoggedIn())));
  showView(isAllowed ? 'ready' : 'no-right');
  wire();
  showLog();
  if (scanned && isAllowed) findClaim(scanned);
  else byId(byId('desk').value ? 'code' : 'desk').focus();
}

async function isHostLoggedIn() {
  const { logged_in: isLoggedIn } = await call('GET', '/admin/login').catch(() => ({}));
  return isLoggedIn;
}

function wire() {
  byId('desk').value = storage.get('desk') ?? '';
  byId('desk').onchange = () => storage.set('desk', byId('desk').value.trim());
  setShown('scan', 'BarcodeDetector' in window && Boolean(navigator.mediaDevices));
  byId('find-claim').onsubmit = (submit) => {
    submit.preventDefault();
    findClaim(byId('code').value);
  };
  sendAfterComposition(byId('code'));
  document.addEventListener('keydown', takeScan, true);
  byId('scan').onclick = () => (camera ? stopScan() : scan());
  byId('hand-over').onclick = handOver;
  byId('next').onclick = next;
  // The phone's own camera may open this page again with another code.
  window.addEventListener('hashchange', () => {
    const scanned = codeIn(location.hash);
    dropHash();
    if (scanned) findClaim(scanned);
  });
}

function dropHash() {
  history.replaceState(null, '', location.pathname + location.search);
}

/** The code that this page's address carries, if any. */
const codeIn = (hash) => (/[#&]claim=/.test(hash) ? hash : null);

/**
 * Sends the form on an Enter that ends the composition of a syllable: the browser takes that key for
 * the input method, and a scanner presses it once.
 */
function sendAfterComposition(input) {
  let isEntered = false;
  input.addEventListener('keydown', (key) => {
    isEntered = key.isComposing && key.code === 'Enter';
  });
  input.addEventListener('compositionend', () => {
    if (!isEntered) return;
    isEntered = false;
    const typed = input.value;
    // A browser that sends the form itself has cleared the field by then.
    setTimeout(() => input.value === typed && document.body.dataset.state === 'ready' && input.form.requestSubmit());
  });
}

/**
 * Takes a scan while another claim is shown: its first key opens the field, and its last one, Enter,
 * would otherwise press the button that records the hand-over.
 */
function takeScan(key) {
  const isTyped = (key.key.length === 1 && key.key !== ' ') || key.key === 'Process';
  if (!isTyped || key.ctrlKey || key.altKey || key.metaKey || document.body.dataset.state !== 'claim') return;
  next();
}

function showView(name) {
  document.body.dataset.state = name;
  setShown('no-right', name === 'no-right');
  setShown('find-claim', name === 'ready');
  setShown('claim', name === 'claim');
}

async function findClaim(text) {
  if (!text.trim() || isSearching) return;
  code = text.trim();
  isSearching = true;
  setText('wrong', '');
  stopScan();
  try {
    claim = await call('POST', `/admin/${event}/claims/look-up`, { body: { code }, token });
    byId('code').value = '';
    showClaim();
    byId(claim.handed_over ? 'next' : 'hand-over').focus();
  } catch (refusal) {
    showRefusal(refusal);
  } finally {
    isSearching = false;
  }
}

async function handOver() {
  const desk = byId('desk').value.trim() || t('title');
  byId('hand-over').disabled = true;
  try {
    const done = await call('POST', `/admin/${event}/claims/hand-over`, { body: { code, desk }, token });
    claim = { ...done, isMine: true };
    addToLog(claim);
    showClaim();
    byId('next').focus();
  } catch (refusal) {
    if (refusal.code === 'ALREADY_HANDED_OVER') {
      claim = { ...claim, ...refusal.detail, handed_over: true, isMine: false };
      showClaim();
    } else {
      showRefusal(refusal);
    }
  } finally {
    byId('hand-over').disabled = false;
  }
}

function showRefusal(refusal) {
  if (['UNAUTHORIZED', 'FORBIDDEN'].includes(refusal.code)) return void showView('no-right');
  showView('ready');
  setText('wrong', t(messages.ko[refusal.code] ? refusal.code : 'OTHER'));
  byId('code').focus();
  byId('code').select();
}

function next() {
  claim = null;
  code = null;
  byId('code').value = '';
  setText('wrong', '');
  showView('ready');
  byId('code').focus();
}

function showClaim() {
  showView('claim');
  const state = claim.isMine ? 'done' : claim.handed_over ? 'handed-over' : 'ready';
  byId('claim').dataset.claim = state;
  setText('claim-state', t(CLAIM_MESSAGES[state]));
  setShown('claim-image', Boolean(claim.prize_image));
  if (claim.prize_image) byId('claim-image').src = claim.prize_image;
  setText('claim-grade', claim.prize_grade ?? t('rank', claim.prize_rank));
  setText('claim-prize', claim.prize_name);
  setText('claim-number', digits(claim.draw_number));
  setText('claim-name', claim.name_masked ? `${isolate(claim.name_masked)} · ${claim.phone_masked ?? ''}` : t('noDetails'));
  setText('claim-history', claimHistory(claim));
  setShown('hand-over', !claim.handed_over);
}

function claimHistory({ handed_over: isHandedOver, handed_over_at: handedOverAt, arrived_at: arrivedAt, desk }) {
  if (isHandedOver) return t('first', formatTime(handedOverAt), desk ?? '');
  return arrivedAt ? t('arrived', formatTime(arrivedAt)) : '';
}

const storedLog = () => storage.get(`log.${event}`) ?? [];

function addToLog({ draw_number: number, prize_name: prize }) {
  const entry = { at: new Date().toISOString(), number, prize };
  storage.set(`log.${event}`, [entry, ...storedLog()].slice(0, LOG_MAX));
  showLog();
}

function showLog() {
  const entries = storedLog();
  setShown('log-card', entries.length > 0 && document.body.dataset.state !== 'no-right');
  byId('log').lang = language();
  const line = ({ at, number, prize }) => make('li', {}, `${formatTime(at)} · ${digits(number)} · ${isolate(prize)}`);
  byId('log').replaceChildren(...entries.map(line));
}

async function scan() {
  const video = byId('camera');
  try {
    const detector = new window.BarcodeDetector({ formats: ['qr_code'] });
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    camera = { stream, timer: null };
    video.srcObject = stream;
    setShown('camera', true);
    await video.play();
    setText('scan', t('stopScan'));
    detect(detector, video);
  } catch {
    stopScan();
    setText('wrong', t('noCamera'));
  }
}

async function detect(detector, video) {
  if (!camera) return;
  const [found] = await detector.detect(video).catch(() => []);
  if (found && camera) return void findClaim(found.rawValue);
  if (camera) camera.timer = setTimeout(() => detect(detector, video), SCAN_MS);
}

function stopScan() {
  if (camera) {
    clearTimeout(camera.timer);
    for (const track of camera.stream.getTracks()) track.stop();
  }
  camera = null;
  setShown('camera', false);
  setText('scan', t('scan'));
}

start();
