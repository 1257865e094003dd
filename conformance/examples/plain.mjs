// An implementation in one file of JavaScript, as an adapter: LSTM and GRU in float32, in plain loops.
//
//   rnn-conformance run --adapter "cmd:node plain.mjs"
//
// It answers the requests of spec/protocol.md on standard input and output, and says "unsupported" to whatever it does not know.
import {createInterface} from 'node:readline';

class Unsupported extends Error {
  constructor(clause, reason) {
    super(reason);
    this.clause = clause;
  }
}

class Refused extends Error {}

const refuse = (condition, text) => {
  if (condition) throw new Refused(text);
};

// --- tensors: C order, little-endian, in base64 ------------------------------------------------------------------

function decoded({dtype, shape, data}) {
  const {buffer} = Uint8Array.from(Buffer.from(data, 'base64'));
  return {shape, data: dtype === 'bool' ? new Uint8Array(buffer) : new Float32Array(buffer)};
}

const encoded = (data, shape) => ({dtype: 'float32', shape, data: Buffer.from(data.buffer, 0, data.byteLength).toString('base64')});

// --- the layer ---------------------------------------------------------------------------------------------------

const FLAGS = ['return_sequences', 'return_state', 'go_backwards', 'time_major', 'zero_output_for_mask', 'use_bias', 'reset_after'];
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
let layer;

function build({spec}) {
  const {arguments: given, size} = spec;
  for (const [name, value] of Object.entries(given)) {
    const isDefault = value === null || value === false || value === 0 || value === 'none';
    const builtIn = (name === 'activation' && value === 'tanh') || (name === 'recurrent_activation' && value === 'sigmoid') || (name === 'trainable' && value === true);
    const known = name === 'units' || FLAGS.includes(name) || builtIn || (isDefault && !name.endsWith('activation'));
    if (!known) throw new Unsupported('ERR-3', `plain.mjs does not know this value of ${name}`);
  }
  if (Object.keys(spec.declared).length) throw new Unsupported('SHAPE-2', 'plain.mjs takes no declarations of the input');
  if (spec.positional.length) throw new Unsupported('ERR-3', 'plain.mjs takes arguments by name');
  if (spec.seed !== null) throw new Unsupported('INIT-1', 'plain.mjs makes no weights of its own');
  if (spec.num_layers > 1) throw new Unsupported('NET-1', 'plain.mjs has single layers');
  if (spec.bidirectional) throw new Unsupported('NET-2', 'plain.mjs has layers of one direction');
  refuse(!Number.isInteger(given.units) || given.units < 1, 'units must be a positive integer');
  layer = {...given, isLstm: spec.layer === 'LSTM', gates: spec.layer === 'LSTM' ? 4 : 3, F: size.F, U: given.units};
  return {};
}

function setWeights({weights}) {
  const {F, U, gates} = layer, n = gates * U, twoBiases = !layer.isLstm && layer.reset_after;
  const shapes = {kernel: [F, n], recurrent_kernel: [U, n], ...(layer.use_bias ? {bias: twoBiases ? [2, n] : [n]} : {})};
  refuse(Object.keys(weights).join() !== Object.keys(shapes).join(), 'another number of weights than the layer has');
  for (const [name, shape] of Object.entries(shapes)) {
    refuse(weights[name].shape.join() !== shape.join(), `${name} has another shape than the layer's`);
    layer[name] = decoded(weights[name]).data;
  }
  return {};
}

// x W + b for row `at` of an array; every number is rounded to float32, as the dtype says.
function product(array, at, width, matrix, bias, start) {
  const n = layer.gates * layer.U, sums = new Float32Array(n);
  for (let j = 0; j < n; j += 1) {
    sums[j] = bias ? bias[start + j] : 0;
    for (let k = 0; k < width; k += 1) sums[j] = Math.fround(sums[j] + Math.fround(array[at * width + k] * matrix[k * n + j]));
  }
  return sums;
}

// One step of one row: h and c [U] become the next ones (LSTM-EQ, GRU-EQ).
function step(x, row, h, c) {
  const {U, isLstm, reset_after: after} = layer, n = layer.gates * U;
  const a = product(x, row, layer.F, layer.kernel, layer.bias, 0);
  if (isLstm) {
    const b = product(h, 0, U, layer.recurrent_kernel, null, 0);
    for (let u = 0; u < U; u += 1) {
      const [i, f, g, o] = [0, 1, 2, 3].map((gate) => a[gate * U + u] + b[gate * U + u]);
      c[u] = sigmoid(f) * c[u] + sigmoid(i) * Math.tanh(g);
      h[u] = sigmoid(o) * Math.tanh(c[u]);
    }
    return;
  }
  const b = product(h, 0, U, layer.recurrent_kernel, after ? layer.bias : null, n);
  const reset = Float32Array.from(h, (_, u) => sigmoid(a[U + u] + b[U + u]));
  const candidate = after ? b : product(h.map((value, u) => value * reset[u]), 0, U, layer.recurrent_kernel, null, 0);
  h.forEach((value, u) => {
    const z = sigmoid(a[u] + b[u]);
    h[u] = z * value + (1 - z) * Math.tanh(a[2 * U + u] + candidate[2 * U + u] * (after ? reset[u] : 1));
  });
}

function call(request) {
  if ('training' in request) throw new Unsupported('DROP-1', 'plain.mjs has no training mode');
  const x = decoded(request.inputs), {U, F, time_major: timeMajor} = layer, states = layer.isLstm ? 2 : 1;
  refuse(x.shape.length !== 3, `expected ndim=3, found ndim=${x.shape.length}`);
  refuse(x.shape[2] !== F, 'another number of features than the layer was built for');
  const B = x.shape[timeMajor ? 1 : 0], T = x.shape[timeMajor ? 0 : 1];
  refuse(T === 0, 'an input needs at least one time step');
  const mask = request.mask && decoded(request.mask);
  refuse(mask && mask.shape.join() !== x.shape.slice(0, 2).join(), 'the mask has another shape than the input');
  const given = request.initial_state?.map(decoded);
  refuse(given && given.length !== states, `expected ${states} initial states, found ${given?.length}`);
  refuse(given?.some((state) => state.shape.join() !== [B, U].join()), 'an initial state has another shape than [B, U]');
  const [h, c] = [0, 1].map((k) => new Float32Array(given?.[k]?.data ?? B * U));
  const outputs = new Float32Array(B * T * U), last = new Float32Array(B * U);
  for (let k = 0; k < T; k += 1) {
    const t = layer.go_backwards ? T - 1 - k : k;
    for (let b = 0; b < B; b += 1) {
      const [row, to] = [t, k].map((at) => (timeMajor ? at * B + b : b * T + at)), own = last.subarray(b * U, (b + 1) * U);
      if (!mask || mask.data[row]) {
        step(x.data, row, h.subarray(b * U, (b + 1) * U), c.subarray(b * U, (b + 1) * U));
        own.set(h.subarray(b * U, (b + 1) * U));
      } else if (layer.zero_output_for_mask) {
        own.fill(0);
      }
      outputs.set(own, to * U);
    }
  }
  const shown = layer.return_sequences ? encoded(outputs, [...x.shape.slice(0, 2), U]) : encoded(last, [B, U]);
  const finals = layer.return_state ? [h, c].slice(0, states).map((state) => encoded(state, [B, U])) : [];
  return {mode: 'native', outputs: [shown, ...finals]};
}

const DESCRIPTION = {protocol: 1, framework: 'plain.mjs', version: '1.0', devices: ['cpu'], dtypes: {float32: null}};
const ANSWERS = {describe: () => DESCRIPTION, build, set_weights: setWeights, call};

for await (const line of createInterface({input: process.stdin})) {
  const request = JSON.parse(line), answer = {id: request.id};
  if (request.do === 'stop') break;
  try {
    if (!ANSWERS[request.do]) throw new Unsupported('CALL-1', `plain.mjs knows no request ${request.do}`);
    answer.ok = ANSWERS[request.do](request);
  } catch (error) {
    const text = {type: error.name, text: error.message, where: 'plain.mjs'};
    if (error instanceof Unsupported) answer.unsupported = {reason: error.message, clause: error.clause};
    else if (error instanceof Refused) answer.refused = {...text, type: 'ValueError'};
    else answer.error = {...text, traceback: String(error.stack)};
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
