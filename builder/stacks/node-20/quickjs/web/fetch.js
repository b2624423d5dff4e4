// The web's messages: Node's own classes, which are undici's.
import { FormData } from 'undici:formdata.js';
import { Headers } from 'undici:headers.js';
// Before Request, which uses what it defines.
import { Response } from 'undici:response.js';
import { Request } from 'undici:request.js';
import { define } from '../host/define.js';

define({ FormData, Headers, Request, Response });
