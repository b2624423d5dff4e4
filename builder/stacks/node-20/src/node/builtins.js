// Every module that `require('node:…')` and `require('…')` give.
import assert from './assert.js';
import asyncHooks from './async_hooks.js';
import buffer from './buffer.js';
import console from './console.js';
import crypto from './crypto.js';
import diagnosticsChannel from './diagnostics_channel.js';
import dns from './dns.js';
import events from './events.js';
import fs, { promises as fsPromises } from './fs.js';
import { http, https } from './http.js';
import { Module } from './module.js';
import net from './net.js';
import os from './os.js';
import path from './path.js';
import process from './process.js';
import readline from './readline.js';
import stream, { consumers, promises as streamPromises, web } from './stream.js';
import timers from '../loop/timers.js';
import tty from './tty.js';
import types from './types.js';
import url from './url.js';
import util from './util.js';
import vm from './vm.js';
import zlib from './zlib.js';
import * as small from './small.js';
import * as unavailable from './unavailable.js';
import punycode from 'unenv/node/punycode';
import querystring from 'unenv/node/querystring';
import stringDecoder from 'string_decoder/lib/string_decoder.js';

const modules = {
  assert,
  'assert/strict': assert.strict,
  async_hooks: asyncHooks,
  buffer,
  child_process: unavailable.childProcess,
  cluster: unavailable.cluster,
  console,
  constants: small.constants,
  crypto,
  dgram: unavailable.dgram,
  diagnostics_channel: diagnosticsChannel,
  dns,
  'dns/promises': dns.promises,
  domain: unavailable.domain,
  events,
  fs,
  'fs/promises': fsPromises,
  http,
  http2: unavailable.http2,
  https,
  inspector: unavailable.inspector,
  'inspector/promises': unavailable.inspector,
  module: Module,
  net,
  os,
  path,
  'path/posix': path,
  'path/win32': path,
  perf_hooks: small.perfHooks,
  process,
  punycode,
  querystring,
  readline,
  'readline/promises': readline.promises,
  repl: unavailable.repl,
  stream,
  'stream/consumers': consumers,
  'stream/promises': streamPromises,
  'stream/web': web,
  string_decoder: stringDecoder,
  sys: util,
  timers,
  'timers/promises': timers.promises,
  tls: unavailable.tls,
  trace_events: small.traceEvents,
  tty,
  url,
  util,
  'util/types': types,
  v8: small.v8,
  vm,
  wasi: unavailable.wasi,
  worker_threads: unavailable.workerThreads,
  zlib,
};

export const builtinNames = new Set(Object.keys(modules));

/** The module `name`, without `node:`. */
export const builtins = (name) => modules[name];
