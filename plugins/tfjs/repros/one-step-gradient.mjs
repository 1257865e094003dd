// TensorFlow.js has no gradient of a sequence of one step from an initial state. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

const own = layer('lstm'), states = [tf.ones([1, 1]), tf.ones([1, 1])];
own.apply(tf.ones([1, 1, 1]));
for (const steps of [2, 1]) {
  try {
    const slope = tf.grad((x) => tf.sum(own.apply(x, {initialState: states})))(tf.ones([1, steps, 1]));
    console.info(`tfjs ${tf.version.tfjs}: gradient of ${steps} steps: ${slope.dataSync()}`);
  } catch (error) {
    console.info(`tfjs ${tf.version.tfjs}: gradient of ${steps} step: ${error.message}`);
    process.exit(1);
  }
}
process.exit(0);
