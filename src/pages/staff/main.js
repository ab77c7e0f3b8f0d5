// The prize desk: a winner's code is scanned or typed, the prize and the masked name are shown, and the hand-over is on record once.
//
// A browser that cannot scan needs not: the winner's QR code is this page's own address with the code behind its #, so that the desk's phone
// opens it with its camera. What the desk may do is proved by its signed link or by a host's login.

import { call } from "../shared/api.js";
import { language, moment, speak } from "../shared/i18n.js";
import { recall, remember } from "../shared/storage.js";
import { byId, digits, eventOfPage, make, say, secretOfLink, show } from "../shared/dom.js";

const words = {
  ko: {
    title: '경품 데스크', desk: '데스크 이름', code: '당첨 코드', find: '확인', scan: '카메라로 스캔', stopScan: '스캔 멈추기', handOver: '전달 완료로 기록', next: '다음 당첨자', log: '이 데스크의 기록',
    noRight: '이 페이지를 열 수 없습니다', noRightHow: '진행자에게 경품 데스크 링크를 받아 다시 열어 주세요.',
    ready: '전달할 수 있습니다', handedOver: '이미 전달했습니다', done: '전달 완료', first: (at, desk) => `${at} · ${desk}에서 전달`,
    noDetails: '당첨자 정보가 아직 없습니다', arrived: (at) => `현장 확인 ${at}`,
    CLAIM_NOT_FOUND: '없는 코드입니다. 다시 확인해 주세요.', WIN_VOIDED: '무효 처리된 당첨입니다. 경품을 전달하지 마세요.', TOO_MANY: '너무 많이 틀렸습니다. 1분 뒤 다시 시도해 주세요.', OFFLINE: '서버에 연결할 수 없습니다. 다시 시도해 주세요.',
    OTHER: '처리하지 못했습니다. 다시 시도해 주세요.', noCamera: '카메라를 사용할 수 없습니다. 코드를 직접 입력해 주세요.',
  },
  en: {
    title: 'The prize desk', desk: 'Name of this desk', code: 'Claim code', find: 'Look up', scan: 'Scan', stopScan: 'Stop scanning', handOver: 'Record the hand-over', next: 'Next winner', log: 'Handed over here',
    noRight: 'This page needs a link', noRightHow: 'Ask the host for a prize-desk link and open it again.',
    ready: 'Ready to hand over', handedOver: 'Handed over already', done: 'Handed over', first: (at, desk) => `${at} at ${desk}`,
    noDetails: 'No details handed in yet', arrived: (at) => `was here ${at}`,
    CLAIM_NOT_FOUND: 'There is no such code. Please check it.', WIN_VOIDED: 'This win is void. Do not hand over the prize.', TOO_MANY: 'Too many wrong codes. Please wait a minute.', OFFLINE: 'The server cannot be reached. Please try again.',
    OTHER: 'It did not work. Please try again.', noCamera: 'The camera cannot be used. Please type the code.',
  },
};

const SCAN_MS = 250;
const LOG_MAX = 50;

let event = null;
let token = null;
let claim = null;
let code = null;
let camera = null;

const t = speak(words, () => {
  if (claim) showClaim();
  showLog();
});

async function start() {
  event = await eventOfPage();
  const scanned = codeIn(location.hash);
  const secret = secretOfLink('token');
  if (secret) remember(`staff.${event}`, secret);
  if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  token = recall(`staff.${event}`);
  const { logged_in: isHost } = token ? { logged_in: true } : await call('GET', '/admin/login').catch(() => ({ logged_in: false }));
  state(event && isHost ? 'ready' : 'no-right');
  byId('desk').value = recall('desk') ?? '';
  byId('desk').onchange = () => remember('desk', byId('desk').value.trim());
  show('scan', 'BarcodeDetector' in window && Boolean(navigator.mediaDevices));
  byId('look-up').onsubmit = (submitted) => {
    submitted.preventDefault();
    lookUp(byId('code').value);
  };
  byId('scan').onclick = () => (camera ? stopScan() : scan());
  byId('hand-over').onclick = handOver;
  byId('next').onclick = next;
  showLog();
  // The phone's own camera may open this page again with another code.
  window.addEventListener('hashchange', () => {
    const again = codeIn(location.hash);
    history.replaceState(null, '', location.pathname + location.search);
    if (again) lookUp(again);
  });
  if (scanned && isHost) lookUp(scanned);
  else byId(byId('desk').value ? 'code' : 'desk').focus();
}

/** The code in a scanned text: the code itself, or this page's address with it. */
function codeIn(text) {
  const claimed = text.match(/[#&]claim=([^&]+)/);
  return claimed ? decodeURIComponent(claimed[1]) : text.startsWith('#') ? null : text.trim();
}

function state(name) {
  document.body.dataset.state = name;
  show('no-right', name === 'no-right');
  show('look-up', name === 'ready');
  show('claim', name === 'claim');
}

async function lookUp(text) {
  code = codeIn(text);
  if (!code) return;
  byId('code').value = code;
  say('wrong', '');
  stopScan();
  try {
    claim = await call('POST', `/admin/${event}/claims/look-up`, { body: { code }, token });
    showClaim();
    byId(claim.handed_over ? 'next' : 'hand-over').focus();
  } catch (refusal) {
    refused(refusal);
  }
}

async function handOver() {
  const desk = byId('desk').value.trim() || t('title');
  byId('hand-over').disabled = true;
  try {
    claim = { ...(await call('POST', `/admin/${event}/claims/hand-over`, { body: { code, desk }, token })), isMine: true };
    remember(`log.${event}`, [{ at: new Date().toISOString(), number: claim.draw_number, prize: claim.prize_name }, ...(recall(`log.${event}`) ?? [])].slice(0, LOG_MAX));
    showLog();
    showClaim();
    byId('next').focus();
  } catch (refusal) {
    if (refusal.code === 'ALREADY_HANDED_OVER') {
      claim = { ...claim, ...refusal.detail, handed_over: true, isMine: false };
      showClaim();
    } else {
      refused(refusal);
    }
  } finally {
    byId('hand-over').disabled = false;
  }
}

function refused(refusal) {
  if (['UNAUTHORIZED', 'FORBIDDEN'].includes(refusal.code)) return void state('no-right');
  state('ready');
  say('wrong', t(words.ko[refusal.code] ? refusal.code : 'OTHER'));
  byId('code').focus();
  byId('code').select();
}

function next() {
  claim = null;
  code = null;
  byId('code').value = '';
  say('wrong', '');
  state('ready');
  byId('code').focus();
}

function showClaim() {
  state('claim');
  const how = claim.isMine ? 'done' : claim.handed_over ? 'handed-over' : 'ready';
  byId('claim').dataset.claim = how;
  say('claim-state', t({ done: 'done', 'handed-over': 'handedOver', ready: 'ready' }[how]));
  show('claim-image', Boolean(claim.prize_image));
  if (claim.prize_image) byId('claim-image').src = claim.prize_image;
  say('claim-prize', claim.prize_name);
  say('claim-number', digits(claim.draw_number));
  say('claim-name', claim.name_masked ? `${claim.name_masked} · ${claim.phone_masked ?? ''}` : t('noDetails'));
  say('claim-told', claim.handed_over ? t('first', moment(claim.handed_over_at), claim.desk ?? '') : claim.arrived_at ? t('arrived', moment(claim.arrived_at)) : '');
  show('hand-over', !claim.handed_over);
}

function showLog() {
  const lines = recall(`log.${event}`) ?? [];
  show('log-card', lines.length > 0 && document.body.dataset.state !== 'no-right');
  byId('log').lang = language;
  byId('log').replaceChildren(...lines.map(({ at, number, prize }) => make('li', {}, `${moment(at)} · ${digits(number)} · ${prize}`)));
}

async function scan() {
  const video = byId('camera');
  try {
    const detector = new window.BarcodeDetector({ formats: ['qr_code'] });
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    camera = { stream, timer: null };
    video.srcObject = stream;
    show('camera', true);
    await video.play();
    say('scan', t('stopScan'));
    const look = async () => {
      if (!camera) return;
      const [found] = await detector.detect(video).catch(() => []);
      if (found && camera) return void lookUp(found.rawValue);
      if (camera) camera.timer = setTimeout(look, SCAN_MS);
    };
    look();
  } catch {
    stopScan();
    say('wrong', t('noCamera'));
  }
}

function stopScan() {
  if (camera) {
    clearTimeout(camera.timer);
    for (const track of camera.stream.getTracks()) track.stop();
  }
  camera = null;
  show('camera', false);
  say('scan', t('scan'));
}

start();
