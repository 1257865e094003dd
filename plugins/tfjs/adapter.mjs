// TensorFlow.js: tf.layers.lstm and gru, on the CPU of Node.
//
//   npm ci
//   rnn-conformance run --adapter "cmd:node adapter.mjs"
//
// It answers the requests of spec/protocol.md, one JSON object a line.
import {createInterface} from 'node:readline';

console.log = console.info = console.warn = console.error; // standard output is for answers alone
const tf = await import('@tensorflow/tfjs');
await tf.setBackend('cpu');

class Unsupported extends Error {
  constructor(reason, clause) {
    super(reason);
    this.clause = clause;
  }
}

// The framework's own refusals, and nothing else, are marked: what else is raised is a fault of this adapter.
function framework(call) {
  try {
    return call();
  } catch (error) {
    error.isRefusal = true;
    throw error;
  }
}

// --- tensors ---------------------------------------------------------------------------------------------------

const ARRAYS = {float32: Float32Array, bool: Uint8Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array};

function decoded({dtype, shape, data}) {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  const array = new ARRAYS[dtype](bytes.buffer);
  if (dtype === 'float32') return tf.tensor(array, shape, 'float32');
  if (dtype === 'bool') return tf.tensor(array, shape, 'bool');
  throw new Unsupported(`tensors of ${dtype} have no place in a call`, 'CALL-1');
}

function encoded(tensor) {
  const array = tensor.size ? tensor.dataSync() : new Float32Array(0);
  return {dtype: 'float32', shape: tensor.shape, data: Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64')};
}

const listed = (value) => (Array.isArray(value) ? value : [value]);

// --- what it can do --------------------------------------------------------------------------------------------

// tf.keras's name to TensorFlow.js's.
const ACTIVATIONS = {
  elu: 'elu', gelu: 'gelu', hard_sigmoid_keras2: 'hardSigmoid', linear: 'linear', mish: 'mish', none: 'linear', relu: 'relu', relu6: 'relu6', selu: 'selu',
  sigmoid: 'sigmoid', silu: 'swish', softmax: 'softmax', softplus: 'softplus', softsign: 'softsign', tanh: 'tanh',
};
const NAMES = Object.keys(ACTIVATIONS);
const CAPABILITIES = {
  layers: ['LSTM', 'GRU'],
  arguments: {
    activation: NAMES, recurrent_activation: NAMES, use_bias: '*', reset_after: [false], return_sequences: '*', return_state: '*',
    go_backwards: '*', stateful: '*', unroll: '*',
  },
  calls: ['mask', 'initial_state', 'gradients', 'fit', 'predict', 'static_shapes'],
  reasons: {
    activation: ['tf.layers have no activation {value}', 'ACT-1'],
    recurrent_activation: ['tf.layers have no activation {value}', 'ACT-1'],
    reset_after: ["tf.layers.gru throws: 'GRUCell does not support reset_after parameter set to true.'", 'GRU-EQ-4'],
    lengths: ['tf.layers take masks, no lengths', 'MASK-7'],
    initial_weights: ["TensorFlow.js's orthogonal initializer takes minutes for the sizes that show distributions", 'INIT-1'],
    training: ['the masks of dropout in tf.layers cannot be drawn again', 'DROP-1'],
    positional: ['tf.layers take one object of arguments', 'ERR-3'],
    declared: ['the adapter builds layers by the shape of their input', 'SHAPE-2'],
    '': ['tf.layers.lstm and gru have no {name} argument, or the adapter does not set it', ''],
  },
};

const why = 'TensorFlow.js has no floating-point dtype but float32';
const DESCRIPTION = {
  protocol: 1, framework: 'tfjs', version: tf.version.tfjs, devices: ['cpu'], dtypes: {float64: why, float32: null, float16: why, bfloat16: why},
  packages: {node: process.versions.node}, notes: ['backend cpu, in JavaScript'], capabilities: CAPABILITIES,
};

// --- the layer -------------------------------------------------------------------------------------------------

let layer, spec, calls;

function build(request) {
  spec = request.spec;
  const a = spec.arguments;
  if (spec.num_layers > 1 || spec.bidirectional) throw new Unsupported('the adapter builds single layers', 'NET-1');
  const config = {
    units: a.units, activation: ACTIVATIONS[a.activation], recurrentActivation: ACTIVATIONS[a.recurrent_activation], useBias: a.use_bias,
    returnSequences: a.return_sequences, returnState: a.return_state, goBackwards: a.go_backwards, stateful: a.stateful, unroll: a.unroll,
    batchInputShape: [a.stateful ? spec.size.B : null, a.unroll ? spec.size.T : null, spec.size.F],
  };
  if (spec.layer === 'GRU') config.resetAfter = false;
  config.kernelInitializer = config.recurrentInitializer = 'zeros'; // weights are given: orthogonal ones take minutes in JavaScript
  framework(() => {
    layer = spec.layer === 'LSTM' ? tf.layers.lstm(config) : tf.layers.gru(config);
    layer.build(config.batchInputShape);
  });
  layer.built = true;
  calls = 0;
  const call = layer.call.bind(layer);
  layer.call = (...given) => (calls += 1, call(...given));
  return {};
}

function named(tensors) {
  return Object.fromEntries(['kernel', 'recurrent_kernel', 'bias'].slice(0, tensors.length).map((name, k) => [name, encoded(tensors[k])]));
}

function kwargs(request) {
  const found = {};
  if (request.mask) found.mask = decoded(request.mask);
  if (request.initial_state) found.initialState = request.initial_state.map(decoded);
  return found;
}

function called(inputs, given) {
  return listed(framework(() => layer.apply(inputs, given)));
}

function gradients(request) {
  const x = decoded(request.inputs), given = kwargs(request), states = given.initialState ?? [];
  const cotangents = request.cotangents.map(decoded), variables = layer.trainableWeights.map((weight) => weight.val);
  let outputs; // of the one pass: a stateful layer's next would begin elsewhere
  const loss = () => {
    outputs = called(x, given).map((output) => tf.keep(output));
    return tf.addN(outputs.map((output, k) => tf.sum(tf.mul(output, cotangents[k]))));
  };
  const leaves = [x, ...states, ...variables];
  const slopes = framework(() => tf.engine().gradients(loss, leaves, null, true)).grads.map((slope, k) => slope ?? tf.zerosLike(leaves[k]));
  const answer = {
    outputs: outputs.map(encoded), inputs: encoded(slopes[0]), initial_state: slopes.slice(1, 1 + states.length).map(encoded),
    weights: named(slopes.slice(1 + states.length)), losses: encoded(tf.tensor1d([])),
  };
  tf.dispose(outputs);
  return answer;
}

function model(inputs) {
  return framework(() => {
    const input = tf.input({batchShape: [spec.arguments.stateful ? spec.size.B : null, ...inputs.shape.slice(1)]});
    return tf.model({inputs: input, outputs: layer.apply(input)});
  });
}

async function fit(request) {
  if (request.mask) throw new Unsupported('model.fit of TensorFlow.js takes no mask', 'FIT-2');
  const inputs = decoded(request.inputs), targets = decoded(request.targets), whole = model(inputs);
  let updates = 0;
  const callbacks = {onBatchEnd: () => { updates += 1; }};
  framework(() => whole.compile({optimizer: tf.train.sgd(request.learning_rate), loss: 'meanSquaredError'}));
  const options = {batchSize: request.batch_size, epochs: 1, shuffle: false, verbose: 0, yieldEvery: 'never', callbacks};
  try {
    await whole.fit(inputs, targets, options);
  } catch (error) {
    error.isRefusal = true;
    throw error;
  }
  return {weights: named(layer.getWeights()), updates};
}

function predict(request) {
  const inputs = decoded(request.inputs), whole = model(inputs);
  calls = 0;
  const outputs = listed(framework(() => whole.predict(inputs, {batchSize: request.batch_size})));
  return {outputs: outputs.map(encoded), batches: calls};
}

const ANSWERS = {
  describe: () => DESCRIPTION,
  build,
  set_weights({weights}) {
    framework(() => layer.setWeights(Object.values(weights).map(decoded)));
    return {};
  },
  call: (request) => ({outputs: called(decoded(request.inputs), kwargs(request)).map(encoded), mode: 'native'}),
  gradients,
  fit,
  predict,
  weight_shapes: () => ({shapes: Object.fromEntries(Object.entries(named(layer.getWeights())).map(([name, {shape}]) => [name, shape]))}),
  static_shapes() {
    const found = framework(() => layer.computeOutputShape(spec.declared.Input));
    return {shapes: {computeOutputShape: Array.isArray(found[0]) ? found : [found]}};
  },
  reset_states() {
    framework(() => layer.resetStates());
    return {};
  },
};

for await (const line of createInterface({input: process.stdin})) {
  const request = JSON.parse(line), answer = {id: request.id};
  if (request.do === 'stop') break;
  const start = performance.now();
  const lasting = ['build', 'fit', 'set_weights'].includes(request.do); // what these make lives on
  if (!lasting) tf.engine().startScope();
  try {
    if (!(request.do in ANSWERS)) throw new Unsupported(`the adapter knows no request ${request.do}`, 'CALL-1');
    answer.ok = await ANSWERS[request.do](request);
  } catch (error) {
    const text = {type: error.name, text: String(error.message).slice(0, 1000), where: 'adapter.mjs'};
    if (error instanceof Unsupported) answer.unsupported = {reason: error.message, clause: error.clause};
    else if (error.isRefusal) answer.refused = text;
    else answer.error = {...text, traceback: String(error.stack).slice(0, 4000)};
  }
  if (!lasting) tf.engine().endScope();
  answer.seconds = (performance.now() - start) / 1000;
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
