// In JavaScript 4.0 is 4, also for TensorFlow.js. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

const outputs = layer('lstm', {units: JSON.parse('4.0')}).apply(tf.ones([2, 3, 1]));
console.info(`tfjs ${tf.version.tfjs}: units 4.0: ${outputs.shape}`);
process.exit(1);
