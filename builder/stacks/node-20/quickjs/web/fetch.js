// The web's streams and messages, over Node's streams.
import { PonyfillBlob as Blob } from 'whatwg-node:Blob.js';
import { PonyfillCompressionStream as CompressionStream } from 'whatwg-node:CompressionStream.js';
import { PonyfillDecompressionStream as DecompressionStream } from 'whatwg-node:DecompressionStream.js';
import { PonyfillFile as File } from 'whatwg-node:File.js';
import { PonyfillFormData as FormData } from 'whatwg-node:FormData.js';
import { PonyfillHeaders as Headers } from 'whatwg-node:Headers.js';
import { PonyfillReadableStream as ReadableStream } from 'whatwg-node:ReadableStream.js';
import { PonyfillRequest as Request } from 'whatwg-node:Request.js';
import { PonyfillResponse as Response } from 'whatwg-node:Response.js';
import {
  PonyfillTextDecoderStream as TextDecoderStream,
  PonyfillTextEncoderStream as TextEncoderStream,
} from 'whatwg-node:TextEncoderDecoderStream.js';
import { PonyfillTransformStream as TransformStream } from 'whatwg-node:TransformStream.js';
import { PonyfillWritableStream as WritableStream } from 'whatwg-node:WritableStream.js';
import { define } from '../host/define.js';

const classes = {
  Blob,
  CompressionStream,
  DecompressionStream,
  File,
  FormData,
  Headers,
  ReadableStream,
  Request,
  Response,
  TextDecoderStream,
  TextEncoderStream,
  TransformStream,
  WritableStream,
};
for (const [name, value] of Object.entries(classes)) Object.defineProperty(value, 'name', { configurable: true, value: name });
define(classes);
