// TensorFlow.js takes unroll without a number of steps. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

try {
  const outputs = layer('lstm', {unroll: true}).apply(tf.ones([2, 3, 1]));
  console.info(`tfjs ${tf.version.tfjs}: unroll with batchInputShape null,null,1 returns ${outputs.shape}`);
} catch (error) {
  console.info(`refused: ${error.message}`);
  process.exit(0);
}
process.exit(1);
