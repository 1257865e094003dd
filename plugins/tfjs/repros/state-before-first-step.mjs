// TensorFlow.js shows the initial state as output before the first valid step, where tf.keras shows zeros. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

const mask = tf.tensor2d([[0, 1, 1]], [1, 3], 'bool');
const initialState = [tf.tensor2d([[0.75]])];
const outputs = layer('gru').apply(tf.ones([1, 3, 1]), {mask, initialState});
console.info(`tfjs ${tf.version.tfjs}: outputs with the first step masked, from h = 0.75: ${outputs.dataSync()}`);
process.exit(outputs.dataSync()[0] === 0 ? 0 : 1);
