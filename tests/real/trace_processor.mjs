// Perfetto's trace processor, as its UI has it: imports a trace and answers queries.
//
//     node trace_processor.mjs UI_FOLDER TRACE SQL...     a line of JSON for each query: its rows
//
// UI_FOLDER has engine_bundle.js and trace_processor.wasm, made for a web worker. Requests and
// replies are protobuf, by perfetto's trace_processor.proto; what is needed of it is below.
import { readFileSync } from "node:fs";
import path from "node:path";
import vm from "node:vm";

const node = globalThis.process;
const [folder, trace, ...queries] = node.argv.slice(2);

// What a web worker has, and not what Node.js has.
const read = (url) => readFileSync(path.join(folder, path.basename(String(url))));
delete globalThis.process;
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = function () {};
globalThis.importScripts = () => {};
globalThis.location = { href: "file:///" };
globalThis.XMLHttpRequest = class {
  open(_, url) { this.url = url; }
  send() {
    const bytes = read(this.url);
    this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    this.status = 200;
    this.onload?.();
  }
};
globalThis.fetch = async (url) =>
  new Response(read(url), { headers: { "content-type": "application/wasm" } });
const said = [];
console.warn = (line) => said.push(line);

// Protobuf: numbers, and bytes.
const varint = (value) => {
  const out = [];
  for (value = BigInt(value); value > 127n; value >>= 7n) out.push(Number(value & 127n) | 128);
  return [...out, Number(value)];
};
const number = (field, value) => Buffer.from([...varint(field << 3), ...varint(value)]);
const bytes = (field, value) =>
  Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(value.length)]), value]);

function* fields(buffer) {
  let at = 0;
  const varint = () => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = buffer[at++];
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
      if (byte < 128) return value;
    }
  };
  while (at < buffer.length) {
    const key = Number(varint());
    let value;
    if ((key & 7) === 0) value = varint();
    else if ((key & 7) === 2) {
      const length = Number(varint());
      value = buffer.subarray(at, (at += length));
    } else if ((key & 7) === 1) value = buffer.subarray(at, (at += 8));
    else throw new Error(`wire type ${key & 7}`);
    yield [key >> 3, value];
  }
}

function* packed(buffer) {
  let at = 0;
  while (at < buffer.length) {
    let [value, shift] = [0n, 0n];
    for (let byte = 128; byte > 127; shift += 7n) {
      byte = buffer[at++];
      value |= BigInt(byte & 127) << shift;
    }
    yield Number(BigInt.asIntN(64, value));
  }
}

const replies = [];
const port = { postMessage: (reply) => replies.push(Buffer.from(reply)) };
vm.runInThisContext(readFileSync(path.join(folder, "engine_bundle.js"), "utf8"));
globalThis.onmessage({ data: port });

let seq = 0;
const call = (request, ...args) => {
  const message = Buffer.concat([number(1, ++seq), number(2, request), ...args]);
  replies.length = 0;
  port.onmessage({ data: new Uint8Array(bytes(1, message)) });
  const found = [];
  for (const [field, value] of fields(Buffer.concat(replies)))
    if (field === 1) for (const [field, inner] of fields(value)) {
      if (field === 5) throw new Error(String(inner));
      if (field > 200) found.push([field, inner]);
    }
  return found;
};
const refuse = (found, field) => {
  for (const [, reply] of found)
    for (const [is, value] of fields(reply))
      if (is === field && value.length) throw new Error(String(value));
};

const query = (sql) => {
  const found = call(3, bytes(103, bytes(1, Buffer.from(sql))));
  refuse(found, 2);
  const [columns, values] = [[], []];
  for (const [, result] of found)
    for (const [field, value] of fields(result)) {
      if (field === 1) columns.push(String(value));
      if (field !== 3) continue;
      const batch = { cells: [], ints: [], floats: [], texts: [] };
      for (const [sort, cells] of fields(value)) {
        if (sort === 1) batch.cells = [...packed(cells)];
        if (sort === 2) batch.ints = [...packed(cells)];
        if (sort === 3)
          for (let at = 0; at < cells.length; at += 8) batch.floats.push(cells.readDoubleLE(at));
        if (sort === 5) batch.texts = String(cells).split("\0");
      }
      for (const cell of batch.cells) {
        if (cell === 1) values.push(null);
        else if (cell === 2) values.push(batch.ints.shift());
        else if (cell === 3) values.push(batch.floats.shift());
        else if (cell === 4) values.push(batch.texts.shift());
        else throw new Error(`cell of type ${cell}`);
      }
    }
  const rows = [];
  while (values.length) rows.push(values.splice(0, columns.length));
  return { columns, rows };
};

try {
  // It is compiled at once, and up a few promises later.
  await new Promise((done) => setTimeout(done, 100));
  refuse(call(1, bytes(101, readFileSync(trace))), 2);
  refuse(call(2), 2);
  for (const sql of queries) node.stdout.write(`${JSON.stringify(query(sql))}\n`);
  node.exit(0);
} catch (error) {
  node.stderr.write(`${error.message}\n${said.slice(-5).join("\n")}\n`);
  node.exit(1);
}
