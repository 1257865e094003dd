// TensorFlow.js takes an initial state of one row for all rows. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

try {
  const initialState = [tf.ones([1, 1]), tf.ones([1, 1])];
  const outputs = layer('lstm').apply(tf.ones([2, 3, 1]), {initialState});
  console.info(`tfjs ${tf.version.tfjs}: states of 1,1 are taken for inputs of 2 rows: ${outputs.shape}`);
} catch (error) {
  console.info(`refused: ${error.message}`);
  process.exit(0);
}
process.exit(1);
