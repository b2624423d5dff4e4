// Header fields: Node has strings of Latin-1 characters, the host has bytes.
import { Fields } from 'wasi:http/types@0.2.10';
import { hostError } from './errors.js';

// Belong to the connection, which is the host's.
const CONNECTION_FIELDS = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

const LARGEST_APPLY = 8192;

function latin1ToBytes(text) {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function bytesToLatin1(bytes) {
  if (bytes.length <= LARGEST_APPLY) return String.fromCharCode.apply(null, bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += LARGEST_APPLY) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + LARGEST_APPLY));
  }
  return text;
}

/** [name, value] pairs of strings as the list that the host takes, without the connection's own fields. */
export function listToFields(pairs) {
  const list = [];
  for (const [name, value] of pairs) {
    if (!CONNECTION_FIELDS.has(name.toLowerCase())) list.push([name, latin1ToBytes(value)]);
  }
  try {
    return Fields.fromList(list);
  } catch (error) {
    hostError(error);
    return oneByOne(list);
  }
}

// The host refuses the whole list for one field that it forbids; then only that one is left out.
function oneByOne(list) {
  const fields = new Fields();
  for (const [name, value] of list) {
    try {
      fields.append(name, value);
    } catch (error) {
      hostError(error);
    }
  }
  return fields;
}

/** The host's fields as [name, value] pairs of strings. */
export function fieldsToList(fields) {
  return fields.entries().map(([name, value]) => [name, bytesToLatin1(value)]);
}
