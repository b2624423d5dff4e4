// The engine has no hashes of its own.
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';

export const NATIVE = { md5, sha1, sha256, sha384, sha512 };
