// A NaN in a masked step of TensorFlow.js changes the steps after it. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

const mask = tf.tensor2d([[1, 0, 1]], [1, 3], 'bool');
const outputs = layer('lstm').apply(tf.tensor3d([1, NaN, 1], [1, 3, 1]), {mask});
console.info(`tfjs ${tf.version.tfjs}: outputs where the masked second step is NaN: ${outputs.dataSync()}`);
process.exit(outputs.dataSync().some(Number.isNaN) ? 1 : 0);
