// Streams of the web, and what is made of them without Node.
import * as streams from 'web-streams-polyfill';
import { Blob } from 'fetch-blob';
import { File } from 'fetch-blob/file.js';
import { define } from '../host/define.js';

define({ ...streams, Blob, File });
