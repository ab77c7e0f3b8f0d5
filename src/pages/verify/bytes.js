// Bytes of a proof: hex, framing and keyed hashes, as src/draw/PROOF.md specifies them.

import { sha256 } from "./sha256.js";

const BLOCK = 64;

/** A contradiction in a proof. `code`: a key of the page's messages; `values`: their values. */
export class Mismatch extends Error {
  constructor(code, ...values) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

export function ensure(isTrue, code, ...values) {
  if (!isTrue) throw new Mismatch(code, ...values);
}

export const isNumber = (value) => Number.isInteger(value) && value >= 1 && value < 2 ** 32;

export const ascii = (text) => new TextEncoder().encode(text);

export function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Integers below 2 ** 32 in 4 bytes each, big-endian. */
export function u32(...numbers) {
  const bytes = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, place) => {
    ensure(Number.isInteger(number) && number >= 0 && number < 2 ** 32, 'malformed', number);
    bytes.setUint32(4 * place, number);
  });
  return new Uint8Array(bytes.buffer);
}

/** Fields, each with its length before it. */
export const fields = (...parts) => concat(...parts.flatMap((part) => [u32(part.length), part]));

/** The fields of which bytes are made, each with its length before it. */
export function splitFields(bytes) {
  const [found, view] = [[], new DataView(bytes.buffer, bytes.byteOffset)];
  for (let at = 0; at < bytes.length; ) {
    ensure(at + 4 <= bytes.length, 'malformed', 'fields');
    const end = at + 4 + view.getUint32(at);
    ensure(end <= bytes.length, 'malformed', 'fields');
    found.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return found;
}

/** HMAC-SHA256 (RFC 2104). Not by WebCrypto, which pages over plain HTTP do not have. */
export async function hmac(key, message) {
  const padded = concat(key.length > BLOCK ? await sha256(key) : key, new Uint8Array(BLOCK)).slice(0, BLOCK);
  const pad = (byte) => padded.map((each) => each ^ byte);
  return sha256(concat(pad(0x5c), await sha256(concat(pad(0x36), message))));
}

/** Reads lower-case hex of a length in bytes. */
export function fromHex(text, length, field) {
  ensure(typeof text === 'string' && text.length === 2 * length && /^[0-9a-f]*$/.test(text), 'badHex', field);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
