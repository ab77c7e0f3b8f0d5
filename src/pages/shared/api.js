// Calls to the server. An answer is its `data`; a refusal is thrown with its stable code.

const BASE = '/api/luckydraw';
const PATIENCE_MS = 15_000;

/** Why a call failed: `code` as the server names it, or OFFLINE when no server answered. */
export class Refusal extends Error {
  constructor(code, message, status, detail) {
    super(message);
    this.code = code;
    this.status = status;
    this.detail = detail;
  }
}

/**
 * Calls the server. `body`: an object (sent as JSON), or a Blob, ArrayBuffer or string as it is. `token`: sent as Bearer.
 * `type`: the media type of a body that is no object. `patience`: milliseconds.
 */
export async function call(method, path, { body, token, type, patience = PATIENCE_MS, signal } = {}) {
  const reply = await ask(method, path, { body, token, type, patience, signal });
  let json;
  try {
    json = await reply.json();
  } catch {
    // A captive portal answers in HTML, and a proxy without a server behind it too.
    throw new Refusal('OFFLINE', 'no answer of the server', reply.status);
  }
  if (reply.ok && json.success !== false) return json.data ?? json;
  throw new Refusal(json.detail?.code ?? 'INTERNAL_ERROR', json.detail?.message ?? '', reply.status, json.detail);
}

/** The same for an answer that is no JSON: gives its Blob. */
export async function fetchFile(path, { method = 'GET', body, token } = {}) {
  const reply = await ask(method, path, { body, token, patience: 60_000 });
  if (reply.ok) return reply.blob();
  const json = await reply.json().catch(() => ({}));
  throw new Refusal(json.detail?.code ?? 'OFFLINE', json.detail?.message ?? '', reply.status, json.detail);
}

async function ask(method, path, { body, token, type, patience, signal }) {
  const headers = { 'X-Luckydraw': '1' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const isRaw = typeof body === 'string' || body instanceof Blob || body instanceof ArrayBuffer;
  if (body !== undefined) headers['Content-Type'] = isRaw ? (type ?? 'application/octet-stream') : 'application/json';
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience);
  signal?.addEventListener('abort', () => stop.abort(), { once: true });
  try {
    return await fetch(BASE + path, { method, headers, body: isRaw || body === undefined ? body : JSON.stringify(body), signal: stop.signal });
  } catch {
    throw new Refusal('OFFLINE', 'the server cannot be reached', 0);
  } finally {
    clearTimeout(timer);
  }
}

/** 128 random bits as text: what makes a repeated registration the same one. Also where there is no crypto.randomUUID (plain HTTP). */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
