// Keeps the screen on where the browser gives no wake lock, which over plain HTTP is everywhere: a
// silent moving picture plays out of sight, as a film would. A browser starts it only in a tap. Says
// so when it cannot.

import { byId, make } from "../shared/dom.js";
import { language } from "../shared/i18n.js";

const WORDS = {
  ko: '이 휴대폰은 화면이 저절로 꺼질 수 있어요. 설정에서 화면 자동 꺼짐 시간을 늘려 주세요.',
  en: 'This phone may turn its screen off by itself. Please lengthen the screen timeout in its settings.',
};
/** Pictures per second: enough to count as moving. */
const PICTURES_PER_SECOND = 2;

let isKept = false;
let video = null;

/** Plays the picture from the next tap on, and again whenever the page is back. */
export function keepAwake() {
  if (isKept) return;
  isKept = true;
  for (const name of ['pointerup', 'keydown']) window.addEventListener(name, play);
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && video && play());
  if (navigator.userActivation?.isActive) play();
}

async function play() {
  try {
    video ??= silentVideo();
    await video.play();
    byId('may-sleep')?.remove();
  } catch {
    if (!byId('may-sleep')) byId('ticket').after(make('p', { id: 'may-sleep', className: 'note', role: 'status' }, WORDS[language()]));
  }
}

/** A video of one pixel and no sound. A muted one would not keep a screen on. */
function silentVideo() {
  const canvas = make('canvas', { width: 2, height: 2 });
  const picture = canvas.getContext('2d');
  setInterval(() => picture.fillRect(0, 0, 2, 2), 1_000 / PICTURES_PER_SECOND);
  const stream = canvas.captureStream(PICTURES_PER_SECOND);
  const Audio = window.AudioContext ?? window.webkitAudioContext;
  const [silence] = new Audio().createMediaStreamDestination().stream.getAudioTracks();
  stream.addTrack(silence);
  const element = make('video', { id: 'awake', srcObject: stream, 'aria-hidden': 'true', tabIndex: -1 });
  element.setAttribute('playsinline', '');
  element.style.cssText = 'position:fixed;width:1px;height:1px;opacity:0.01;pointer-events:none';
  document.body.append(element);
  return element;
}
