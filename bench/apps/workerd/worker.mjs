// The app as it is, behind what workerd offers for Node's http servers.
import { httpServerHandler } from 'cloudflare:node';
import 'app';

export default httpServerHandler({ port: 3000 });
