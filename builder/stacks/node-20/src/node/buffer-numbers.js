// Buffer's readInt… and writeInt… report mistakes with Node's error codes; the package's errors have none.
import { codedError, outOfRange } from '../lang/codes.js';

const NUMBER = /^(?:read|write)(?:Big)?U?(?:int|Int|Float|Double)(8|16|32|64)?/;

function sizeOf(name, byteLength) {
  if (name.includes('Float')) return 4;
  if (name.includes('Double')) return 8;
  const bits = NUMBER.exec(name)[1];
  return bits === undefined ? byteLength : Number(bits) / 8;
}

function translate(error, name, buffer, offset, byteLength, value) {
  if (error.code !== undefined || !(error instanceof RangeError)) return error;
  const last = buffer.length - sizeOf(name, byteLength);
  if (offset >= 0 && offset <= last && value !== undefined) {
    return outOfRange('value', error.message.replace(/^.*?(?=>|between|must)/, ''), value);
  }
  if (last < 0) {
    return codedError(RangeError, 'ERR_BUFFER_OUT_OF_BOUNDS', 'Attempt to access memory outside buffer bounds');
  }
  const range = Number.isInteger(offset) ? `>= 0 and <= ${last}` : 'an integer';
  return outOfRange('offset', range, offset);
}

/** Wraps the methods of Buffer's prototype. */
export function codeNumberErrors(prototype) {
  for (const name of Object.keys(prototype)) {
    const packaged = prototype[name];
    if (!NUMBER.test(name) || typeof packaged !== 'function') continue;
    prototype[name] = name.startsWith('read')
      ? function (offset = 0, byteLength) {
          try {
            return packaged.call(this, offset, byteLength);
          } catch (error) {
            throw translate(error, name, this, offset, byteLength);
          }
        }
      : function (value, offset = 0, byteLength) {
          try {
            return packaged.call(this, value, offset, byteLength);
          } catch (error) {
            throw translate(error, name, this, offset, byteLength, value);
          }
        };
  }
}
