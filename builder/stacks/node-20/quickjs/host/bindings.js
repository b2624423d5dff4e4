// The interfaces of WASI 0.2, adapted: build-quickjs.mjs gives these in place of `wasi:…@0.2.10`.
import { Descriptor, DirectoryEntryStream } from 'wasi:filesystem/types@0.2.10';
import { Error as IoError } from 'wasi:io/error@0.2.10';
import { Pollable } from 'wasi:io/poll@0.2.10';
import { InputStream, OutputStream } from 'wasi:io/streams@0.2.10';
import { ResolveAddressStream, resolveAddresses as lookUp } from 'wasi:sockets/ip-name-lookup@0.2.10';
import { TcpSocket } from 'wasi:sockets/tcp@0.2.10';
import { createTcpSocket as makeTcpSocket } from 'wasi:sockets/tcp-create-socket@0.2.10';
import { Fields } from 'wasi:http/types@0.3.0';
import { now as monotonicNow } from 'wasi:clocks/monotonic-clock@0.2.10';
import { adaptResources, adapted } from './adapt.js';

// By its name in 0.2.
Fields.prototype.entries = Fields.prototype.copyAll;
Fields.fromList = adapted(Fields.fromList);

adaptResources(Fields, Descriptor, DirectoryEntryStream, IoError, Pollable, InputStream, OutputStream, ResolveAddressStream, TcpSocket);

export { Fields };
export { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.10';
export { exit, exitWithCode } from 'wasi:cli/exit@0.2.10';
export { getStdin } from 'wasi:cli/stdin@0.2.10';
export { getStdout } from 'wasi:cli/stdout@0.2.10';
export { getStderr } from 'wasi:cli/stderr@0.2.10';
export { getDirectories } from 'wasi:filesystem/preopens@0.2.10';
export { getRandomBytes } from 'wasi:random/random@0.2.10';
export { instanceNetwork } from 'wasi:sockets/instance-network@0.2.10';

// It has no commands, and what serves requests has no terminal.
const none = () => undefined;
export { none as getTerminalStdin, none as getTerminalStdout, none as getTerminalStderr };

export const now = () => BigInt(monotonicNow());
export const resolveAddresses = adapted(lookUp);
export const createTcpSocket = adapted(makeTcpSocket);
