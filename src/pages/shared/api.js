// Calls to the server. A call gives the answer's `data`; a refusal is thrown with its stable code.

const BASE = '/api/luckydraw';
const TIMEOUT_MS = 15_000;
const FILE_TIMEOUT_MS = 60_000;

/** Reason a call failed: `code` as the server names it, or OFFLINE when no server answered. */
export class Refusal extends Error {
  constructor(code, message, status, detail) {
    super(message);
    this.code = code;
    this.status = status;
    this.detail = detail;
  }
}

/**
 * Calls the server. Options: `body`: an object (sent as JSON), or a Blob, ArrayBuffer or string
 * (sent unchanged); `type`: the media type of such a raw body; `token`: sent as Bearer;
 * `timeoutMs`; `credentials`: as in fetch, 'omit' hides this browser's cookies.
 */
export async function call(method, path, options) {
  const response = await send(method, path, options);
  let json;
  try {
    json = await response.json();
  } catch {
    // A captive portal answers in HTML, and so does a proxy that cannot reach the server.
    throw new Refusal('OFFLINE', 'no answer of the server', response.status);
  }
  if (response.ok && json.success !== false) return json.data ?? json;
  throw refusalOf(response, json, 'INTERNAL_ERROR');
}

/** Calls the server for an answer that is not JSON; gives its Blob. */
export async function fetchFile(path, { method = 'GET', ...options } = {}) {
  const response = await send(method, path, { timeoutMs: FILE_TIMEOUT_MS, ...options });
  if (response.ok) return response.blob();
  throw refusalOf(response, await response.json().catch(() => ({})), 'OFFLINE');
}

const refusalOf = ({ status }, { detail }, otherwise) =>
  new Refusal(detail?.code ?? otherwise, detail?.message ?? '', status, detail);

async function send(method, path, { body, token, type, timeoutMs = TIMEOUT_MS, credentials } = {}) {
  const headers = { 'X-Luckydraw': '1' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const isRaw = typeof body === 'string' || body instanceof Blob || body instanceof ArrayBuffer;
  if (body !== undefined) headers['Content-Type'] = isRaw ? (type ?? 'application/octet-stream') : 'application/json';
  const payload = isRaw || body === undefined ? body : JSON.stringify(body);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    return await fetch(BASE + path, { method, headers, body: payload, credentials, signal: abort.signal });
  } catch {
    throw new Refusal('OFFLINE', 'the server cannot be reached', 0);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * 128 random bits as hexadecimal digits. Works over plain HTTP, where crypto.randomUUID is missing.
 */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
