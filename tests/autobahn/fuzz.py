"""Runs the cases of Autobahn's test suite against a WebSocket server that echoes, and prints what became of them.

    fuzz.py SUITE URL HOST CASES...     prints {"1.1.1": ["OK", "OK"], ...}: a case's behavior, and that at the close

SUITE is the directory in which tests/setup/autobahn.sh has put the suite after 2to3. It is written for Python 2,
whose strings are bytes: its cases are left as they are, and get and give strings of which each character is a byte.
The two modules that stand in for its fuzzing client (`fuzzing.py`, which makes reports) and for `binascii` are here;
what a case expects and how it is judged is the suite's own.
"""

import binascii
import json
import re
import sys
import types

from twisted.internet import reactor
from twisted.internet.protocol import ClientFactory

SUITE, URL, HOST, *PATTERNS = sys.argv[1:]
sys.path.insert(0, SUITE)
# A case that hangs is ended; the suite's own limits are all below this.
PATIENCE = 120


def to_bytes(text: object) -> object:
    return text.encode("latin-1") if isinstance(text, str) else text


def to_text(data: object) -> object:
    return data.decode("latin-1") if isinstance(data, bytes) else data


# Before the cases are imported: they make strings of bytes of what these give.
shim = types.ModuleType("binascii")
shim.__dict__.update(vars(binascii))
shim.b2a_hex = shim.hexlify = lambda data: binascii.b2a_hex(to_bytes(data)).decode()
sys.modules["binascii"] = shim
import autobahn.websocket.utf8validator as utf8validator  # noqa: E402

validate = utf8validator.Utf8Validator.validate
utf8validator.Utf8Validator.validate = lambda self, data: validate(self, to_bytes(data))

import zope.interface  # noqa: E402

# Of a case that is in none of the suite's lists.
zope.interface.implements = lambda *interfaces: None

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol  # noqa: E402
from autobahntestsuite import case as suite  # noqa: E402
from autobahntestsuite.case.case import Case  # noqa: E402
from autobahntestsuite.caseset import CaseSet  # noqa: E402


def comparable(events: object) -> object:
    if isinstance(events, (list, tuple)):
        return [comparable(event) for event in events]
    return to_text(events)


# The suite compares pickles, which of equal strings differ here.
Case.compare = lambda self, one, other: comparable(one) == comparable(other)


class Protocol(WebSocketClientProtocol):
    """What a case does to a connection, and hears of it."""

    def connectionMade(self) -> None:
        self.connectionWasOpen = False
        self.createWirelog = False
        self.wirelog = []
        self.txFrameStats = {}
        super().connectionMade()

    def connectionLost(self, reason: object) -> None:
        super().connectionLost(reason)
        try:
            self.runCase.onConnectionLost(self.failedByMe)
        except Exception as error:
            print(f"{self.case}: {error!r}", file=sys.stderr)

    def onOpen(self) -> None:
        self.connectionWasOpen = True
        self.runCase.onOpen()

    def _received(self, data: bytes) -> object:
        # Those of compression work with bytes in both Pythons.
        return data if self.Case.__name__.startswith(("Case12", "Case13")) else to_text(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.runCase.onMessage(self._received(payload), isBinary)

    def onPing(self, payload: bytes) -> None:
        super().onPing(payload)
        self.runCase.onPing(self._received(payload))

    def onPong(self, payload: bytes) -> None:
        self.runCase.onPong(self._received(payload))

    def onClose(self, wasClean: bool, code: object, reason: object) -> None:
        self.runCase.onClose(wasClean, code, reason)

    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = to_bytes(payload)
        if payload_len is not None:
            # Autobahn's own way of repeating it divides as in Python 2.
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        super().sendFrame(opcode, payload, fin, rsv, to_bytes(mask), None, chopsize, sync)

    def sendMessage(self, payload, *args, **options):
        super().sendMessage(to_bytes(payload), *args, **options)

    def sendPing(self, payload=None):
        super().sendPing(to_bytes(payload))

    def sendPong(self, payload=None):
        super().sendPong(to_bytes(payload))

    def sendMessageFrameData(self, payload, *args, **options):
        return super().sendMessageFrameData(to_bytes(payload), *args, **options)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, to_bytes(reasonUtf8), isReply)

    def logTxFrame(self, frameHeader, *rest):
        self.txFrameStats[frameHeader.opcode] = self.txFrameStats.get(frameHeader.opcode, 0) + 1

    def logRxFrame(self, *what):
        pass

    def enableWirelog(self, enable: bool) -> None:
        pass

    def _later(self, delay: float, what: object) -> None:
        reactor.callLater(delay, lambda: self.state != self.STATE_CLOSED and what())

    def continueLater(self, delay: float, fun: object, tag: object = None) -> None:
        self._later(delay, fun)

    def killAfter(self, delay: float) -> None:
        self._later(delay, self.failConnection)

    def closeAfter(self, delay: float) -> None:
        self._later(delay, self.sendClose)


class Factory(WebSocketClientFactory, ClientFactory):
    """One case after the other, each on a connection of its own."""

    def __init__(self, cases: list) -> None:
        super().__init__(f"ws://{HOST}/", useragent="autobahntestsuite")
        self.path = self.resource = URL_PATH
        self.logOctets, self.logFrames = False, True
        self.setProtocolOptions(failByDrop=False)
        self.cases, self.results, self.running = cases, {}, None

    def next(self) -> bool:
        self.running = self.cases.pop(0) if self.cases else None
        return self.running is not None

    def buildProtocol(self, addr: object) -> Protocol:
        name, kind = self.running
        protocol = Protocol()
        protocol.factory = self
        protocol.case, protocol.caseAgent, protocol.Case = name, "server", kind
        protocol.runCase = kind(protocol)
        self.current = protocol.runCase
        self.timeout = reactor.callLater(PATIENCE, lambda: protocol.dropConnection(abort=True))
        return protocol

    def clientConnectionLost(self, connector: object, reason: object) -> None:
        if self.timeout.active():
            self.timeout.cancel()
        self.results[self.running[0]] = [self.current.behavior, self.current.behaviorClose]
        if self.next():
            connector.connect()
        else:
            reactor.stop()

    def clientConnectionFailed(self, connector: object, reason: object) -> None:
        print(f"cannot connect: {reason.getErrorMessage()}", file=sys.stderr)
        reactor.stop()


address, URL_PATH = re.fullmatch(r"ws://([^/]+)(/.*)", URL).groups()
cases = CaseSet(suite.CaseSetname, suite.CaseBasename, suite.Cases, suite.CaseCategories, suite.CaseSubCategories)
names = cases.parseSpecCases({"cases": PATTERNS})
factory = Factory([(name, cases.CasesById[name]) for name in names])
if factory.next():
    host, port = address.rsplit(":", 1)
    reactor.connectTCP(host, int(port), factory)
    reactor.run()
json.dump(factory.results, sys.stdout)
sys.exit(len(factory.results) != len(names))
