// Report of this stage to the server: what it shows, every second and at every change. The answer is
// what the console asks of it, and whether it leads: the stage that leads plays the sound.

const EVERY_MS = 1_000;
const ID_KEY = 'stage.id';
/** The channel on which the stages of this browser tell each other their names. */
const CHANNEL = 'luckydraw.stages';
const { body } = document;

export class StageReport {
  /**
   * `send(message)` sends to the server; `describe()` gives { page, isReducedMotion };
   * `onLead(isLead)` is told whether this stage leads; `apply(orders)` does what the console asks.
   */
  constructor({ send, describe, onLead, apply }) {
    Object.assign(this, { sendMessage: send, describe, onLead, apply });
    this.id = storedId() ?? storeId();
    /** The revision of what the console asks that this page has applied. */
    this.revision = 0;
    this.last = '';
    this.claimId();
    setInterval(() => this.send(), EVERY_MS);
    document.addEventListener('visibilitychange', () => this.send());
    new MutationObserver(() => this.sendChange()).observe(body, { attributes: true });
  }

  /** Takes another name where another tab has this one: a duplicated tab copies what a tab stores. */
  claimId() {
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = ({ data: { id, isTaken } }) => {
      if (id !== this.id) return;
      if (!isTaken) return channel.postMessage({ id, isTaken: true });
      Object.assign(this, { id: storeId(), revision: 0 });
      this.send();
    };
    channel.postMessage({ id: this.id, isTaken: false });
  }

  message() {
    const { page, isReducedMotion } = this.describe();
    const { state, settled, sound, black, code } = body.dataset;
    return {
      type: 'stage',
      stage_id: this.id,
      applied_revision: this.revision,
      page,
      scene: state,
      is_settled: settled === 'true',
      is_black: black !== undefined,
      is_muted: sound === 'muted',
      is_sound_locked: sound === 'locked',
      is_hidden: document.visibilityState === 'hidden',
      shows_code: code !== undefined,
      is_reduced_motion: isReducedMotion,
      width: innerWidth,
      height: innerHeight,
    };
  }

  send() {
    const message = this.message();
    this.last = JSON.stringify(message);
    this.sendMessage(message);
  }

  sendChange() {
    if (JSON.stringify(this.message()) !== this.last) this.send();
  }

  receive({ type, is_lead: isLead, revision, ...orders }) {
    body.dataset.lead = isLead;
    this.onLead(isLead);
    if (revision === this.revision) return;
    this.revision = revision;
    this.apply(orders);
    this.send();
  }
}

/** The name that this tab had before a reload, or null. */
function storedId() {
  try {
    return sessionStorage.getItem(ID_KEY);
  } catch {
    // Storage may be forbidden: a reload is then another stage.
    return null;
  }
}

/** Makes a new name, and stores it for a reload of this tab. */
function storeId() {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  try {
    sessionStorage.setItem(ID_KEY, id);
  } catch {
    // The name is this page's alone.
  }
  return id;
}
