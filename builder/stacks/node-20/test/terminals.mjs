// For the hosts of the tests: their standard streams are no terminals, which the shim says they are.
import { _setTerminalStderr, _setTerminalStdin, _setTerminalStdout } from '@bytecodealliance/preview2-shim/cli';

for (const set of [_setTerminalStdin, _setTerminalStdout, _setTerminalStderr]) set(undefined);
