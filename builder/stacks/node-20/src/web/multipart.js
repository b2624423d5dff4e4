// multipart/form-data as bytes, both ways (RFC 7578).

const CRLF = '\r\n';
const decoder = new TextDecoder();
const encoder = new TextEncoder();

const invalid = () => new TypeError('Failed to parse body as FormData.');

/** Where `needle` begins in `bytes` from `from` on; -1 when it does not. */
function find(bytes, needle, from) {
  const last = bytes.length - needle.length;
  for (let at = bytes.indexOf(needle[0], from); at >= 0 && at <= last; at = bytes.indexOf(needle[0], at + 1)) {
    let i = 1;
    while (i < needle.length && bytes[at + i] === needle[i]) i++;
    if (i === needle.length) return at;
  }
  return -1;
}

function parseHead(text) {
  const head = { type: 'text/plain' };
  for (const line of text.split(CRLF)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'content-type') head.type = value;
    if (name !== 'content-disposition') continue;
    // `name` also ends `filename`; a parameter begins after a semicolon.
    head.name = parameter(value, 'name');
    head.filename = parameter(value, 'filename');
  }
  return head;
}

function parameter(value, name) {
  const match = new RegExp(`;\\s*${name}="((?:\\\\"|[^"])*)"|;\\s*${name}=([^;\\s]+)`, 'i').exec(value);
  if (match === null) return undefined;
  return (match[1] ?? match[2]).replace(/\\"|%22|%0D|%0A/gi, (escape) => UNESCAPED[escape.toUpperCase()]);
}

const UNESCAPED = { '\\"': '"', '%22': '"', '%0D': '\r', '%0A': '\n' };

/** The FormData that `bytes` hold. */
export function parseMultipart(bytes, boundary) {
  const form = new FormData();
  const delimiter = encoder.encode(`--${boundary}`);
  const between = encoder.encode(`${CRLF}--${boundary}`);
  const blank = encoder.encode(CRLF + CRLF);
  let at = find(bytes, delimiter, 0);
  if (at < 0) throw invalid();
  at += delimiter.length;
  for (;;) {
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return form;
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) throw invalid();
    const headEnd = find(bytes, blank, at);
    const end = headEnd < 0 ? -1 : find(bytes, between, headEnd + 2);
    if (end < 0) throw invalid();
    const { name, filename, type } = parseHead(decoder.decode(bytes.subarray(at + 2, headEnd)));
    if (name === undefined) throw invalid();
    const content = bytes.subarray(headEnd + blank.length, end);
    if (filename === undefined) form.append(name, decoder.decode(content));
    else form.append(name, new File([content], filename, { type }), filename);
    at = end + between.length;
  }
}

const escaped = (text) => text.replace(/\r\n|\r|\n/g, '%0D%0A').replaceAll('"', '%22');

/** The form as `{ bytes, type }`. */
export async function multipartBody(form, boundary = `----formdata-${globalThis.crypto.randomUUID()}`) {
  const parts = [];
  for (const [name, value] of form) {
    const head = `--${boundary}${CRLF}Content-Disposition: form-data; name="${escaped(name)}"`;
    if (typeof value === 'string') {
      parts.push(encoder.encode(`${head}${CRLF}${CRLF}${value.replace(/\r?\n|\r/g, CRLF)}${CRLF}`));
      continue;
    }
    const type = value.type || 'application/octet-stream';
    parts.push(
      encoder.encode(`${head}; filename="${escaped(value.name)}"${CRLF}Content-Type: ${type}${CRLF}${CRLF}`),
      new Uint8Array(await value.arrayBuffer()),
      encoder.encode(CRLF),
    );
  }
  parts.push(encoder.encode(`--${boundary}--${CRLF}`));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, type: `multipart/form-data; boundary=${boundary}` };
}
