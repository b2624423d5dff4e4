'use strict';
const { once } = require('node:events');
const net = require('node:net');

module.exports = async (check) => {
  const addresses = ['1.2.3.4', '256.1.1.1', '01.2.3.4', '1.2.3', '::1', '::', '1::2::3', 'fe80::1%eth0', '::ffff:1.2.3.4', '1:2:3:4:5:6:7', 'x', ''];
  for (const address of addresses) await check(`isIP ${address}`, () => [net.isIP(address), net.isIPv4(address), net.isIPv6(address)]);
  await check('a new socket', () => {
    const socket = new net.Socket();
    return [socket.connecting, socket.pending, socket.destroyed, socket.bytesRead, socket.bytesWritten, socket.remoteAddress, socket.address()];
  });
  await check('without new', () => net.Socket() instanceof net.Socket);
  await check('a subclass', () => new (class Sub extends net.Socket {})() instanceof require('node:stream').Duplex);
  for (const port of [-1, 65_536, 'x', 1.5, undefined]) await check(`port ${port}`, () => net.connect({ port }));
  await check('connecting', async () => {
    const socket = net.connect(1, '127.0.0.1');
    const seen = [socket.connecting, socket.readyState];
    const [error] = await once(socket, 'error');
    const [hadError] = await once(socket, 'close');
    const { message, code, syscall, errno, address, port } = error;
    return [...seen, message, code, syscall, errno, address, port, hadError, socket.destroyed, socket.connecting];
  });
  await check('destroyed before it connects', async () => {
    const socket = net.connect(1, '127.0.0.1');
    socket.destroy();
    return [await once(socket, 'close'), socket.destroyed];
  });
  await check('setTimeout', () => new net.Socket().setTimeout('x'));
};
